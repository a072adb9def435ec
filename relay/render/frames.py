"""Frames between the relay and its renderers: JSON and contents, of limited size.

    length 4 | number of strings 4 | length of each string 4 | the strings

Numbers are big-endian. `length` counts all octets after it. The first string is JSON. The options of a request and the
notes of an answer, which many messages have in common, are JSON of their own: who reads them keeps the last ones. Keys
are not kept. An answer leaves out the end of a content that is as in the request: attachments do not come back.

A renderer parses hostile mail, so the relay checks every size and type of an answer, and accepts no code, key or
envelope from it. A request carries the keys of its own message only. A large content is in a file, whose descriptor is
sent over a second socket; so is its rendering.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from relay.compact_json import json_encoder
from relay.domains.relay_keys import Keys
from relay.frozen import dataclass
from relay.mailauth.dkim_keys import SigningKey
from relay.render.message import RenderedContent, RenderInput
from relay.render.message_policy import MessagePolicy, tuple_of
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.rewrite.tokens import Keyring

LENGTH = 4
"""Octets of each number."""

MAX_HEAD = 1024 * 1024
"""Octets of JSON in an answer."""

MAX_TEXT = 1000
"""Characters of one text in the notes of a rendering."""

MAX_KEPT = 1024
"""Octets of JSON of an answer that are kept, at most."""

MAX_NOTES = 10_000
"""Texts in one list of the notes. A list has at most one text for each MIME part."""

GROWTH = 64
"""Factor by which a rendering may exceed the message: a link of 12 octets can become one of 400."""

SLACK = 64 * 1024
"""Octets that a rendering may add to a message of any size."""

BLOCK = 16 * 1024
"""Octets that are compared at a time, to find the unchanged end of a content."""

COMPARED = 64 * 1024
"""Octets of a content, at least, whose end is compared. Of a usual message without attachments the HTML is last."""

NO_TOKENS = Keyring((("none", bytes(16)),))
"""Token keys for a message without tokens. No keyring accepts a token signed with them."""

_SEPARATE = ("added_fields", "tracking", "list_unsubscribe")
"""Fields of a policy that are not sent as one JSON value."""

_PLAIN = tuple(field.name for field in fields(MessagePolicy) if field.name not in _SEPARATE)
_plain_values = attrgetter(*_PLAIN)
_tracking_values = attrgetter(*Tracking.__slots__)
_unsubscribe_values = attrgetter(*ListUnsubscribe.__slots__)


class FrameError(ValueError):
    """A malformed frame. The message gives the reason, without content of the frame."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message to render for these recipients (indices in the message), with the keys it needs."""

    message: RenderInput
    recipients: Sequence[int]
    eight_bit: bool
    keys: Keys
    in_files: bool = False
    """Whether the contents are in files, which are handed over beside the frames. There is one recipient."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Rendering raised an exception, or ended the renderer."""

    reason: str
    ended: bool = False
    """Whether the renderer ended."""


Answer = Sequence[RenderedContent] | Failed
"""A renderer makes contents only. The relay adds the reverse-path itself."""

READY = b"\0\0\0\4\0\0\0\0"
"""The first frame of a renderer, sent when it has started."""


def keys_for(policy: MessagePolicy, keys: Keys) -> Keys:
    """Return the keys that rendering needs: DKIM keys of the message's domain, and the newest token key if needed.

    Tokens in the reverse-path need no key here, because the relay makes the reverse-path itself.
    """
    signing = keys.dkim.get(policy.domain, ())
    options = (policy.tracking, policy.reply_domain, policy.list_unsubscribe, policy.unsubscribe_url)
    signs_tokens = any(options)
    tokens = _newest(keys.tokens) if signs_tokens else NO_TOKENS
    return Keys(tokens, {policy.domain: signing} if signing else {})


@lru_cache(maxsize=8)
def _newest(tokens: Keyring) -> Keyring:
    return Keyring(tokens.keys[:1])


def largest_answer(request: Request) -> int:
    """Return the octets that an answer to this request may have after its length."""
    size = len(request.message.content) + len(request.message.policy.added_fields)
    return LENGTH + MAX_HEAD + len(request.recipients) * (SLACK + GROWTH * size)


def request_frame(request: Request) -> tuple[bytes, bytes]:
    """Encode a request, in two pieces: the second one is the content, which is not copied."""
    message, policy, keys = request.message, request.message.policy, request.keys
    signing = [(domain, key) for domain, of_domain in keys.dkim.items() for key in of_domain]

    head = (
        (message.queue_id, message.created_at, message.reverse_path),
        (list(request.recipients), request.eight_bit, request.in_files),
        [(key_id, key.hex()) for key_id, key in keys.tokens.keys],
        [(domain, key.domain, key.selector, key.algorithm) for domain, key in signing],
    )
    options = _options_octets(_plain_values(policy), policy.tracking, policy.list_unsubscribe)
    pems = [key.pem for _, key in signing]
    strings = _encode(head).encode("ascii"), options, policy.added_fields, *pems
    return b"".join((_lengths(*strings, message.content), *strings)), message.content


@lru_cache(maxsize=512)
def _options_octets(
    plain: tuple[object, ...], tracking: Tracking | None, list_unsubscribe: ListUnsubscribe | None
) -> bytes:
    """Encode the options of a policy: all of its fields but the added header fields."""
    unsubscribe = list_unsubscribe and _unsubscribe_values(list_unsubscribe)
    return _encode([plain, tracking and _tracking_values(tracking), unsubscribe]).encode("ascii")


@lru_cache(maxsize=512)
def _read_options(octets: bytes) -> Mapping[str, Any]:
    """Return the fields of a policy, by name, from their octets."""
    plain, tracking, unsubscribe = _decode(octets.decode("ascii"))
    return {
        **dict(zip(_PLAIN, map(tuple_of, plain), strict=True)),
        "tracking": tracking and Tracking(*map(tuple_of, tracking)),
        "list_unsubscribe": unsubscribe and ListUnsubscribe(*unsubscribe),
    }


def read_request(body: bytes) -> Request:
    """Read a request from a frame without its length."""
    head, options, added_fields, *pems, content = _strings(body)
    about_message, (recipients, eight_bit, in_files), tokens, about_keys = _decode(head.decode("ascii"))
    policy = MessagePolicy(**_read_options(options), added_fields=added_fields)
    queue_id, created_at, reverse_path = about_message
    message = RenderInput(queue_id, created_at, reverse_path, content, policy)

    keyring = Keyring(tuple([(key_id, bytes.fromhex(key)) for key_id, key in tokens]))
    dkim: dict[str, tuple[SigningKey, ...]] = {}
    for (domain, *about_key), pem in zip(about_keys, pems, strict=True):
        key_domain, selector, algorithm = about_key
        dkim[domain] = (*dkim.get(domain, ()), SigningKey(key_domain, selector, algorithm, pem))
    return Request(message, recipients, eight_bit, Keys(keyring, dkim), in_files)


def answer_frame(answer: Answer, content: bytes = b"") -> bytes:
    """Encode an answer to a request with this content."""
    if isinstance(answer, Failed):
        return _frame(_encode(answer.reason).encode("ascii"))
    notes = _encode([one.notes for one in answer])
    ends = [_unchanged_end(one.content, content) for one in answer]
    starts = [memoryview(one.content)[: len(one.content) - end] for one, end in zip(answer, ends, strict=True)]
    return _frame(notes.encode("ascii"), struct.pack(f">{len(ends)}I", *ends), *starts)


def _unchanged_end(rendered: bytes, content: bytes) -> int:
    """Return how many octets at the end of both are surely equal: all of the content, or whole blocks."""
    if rendered.endswith(content):
        return len(content)
    if len(content) < COMPARED:
        return 0
    grown, at = len(rendered) - len(content), len(content)
    while min(at, at + grown) >= BLOCK and content[at - BLOCK : at] == rendered[at + grown - BLOCK : at + grown]:
        at -= BLOCK
    return len(content) - at


def read_answer(body: bytes | memoryview, recipients: int, content: bytes = b"") -> Answer:
    """Read the answer to a request with this content, for that many recipients, from a frame without its length.

    Raises FrameError.
    """
    head, *strings = _strings(body) or (b"",)
    found = _read_kept_head(head) if len(head) <= MAX_KEPT else _read_head(head)
    if isinstance(found, str) and not strings:
        return Failed(found)
    if isinstance(found, str) or not len(found) == len(strings) - 1 == recipients:
        raise FrameError(f"no answer for {recipients} recipients")
    contents = _with_ends(strings[1:], strings[0], content)
    return [RenderedContent(one, notes) for one, notes in zip(contents, found, strict=True)]


def _with_ends(starts: Sequence[bytes], sizes: bytes, content: bytes) -> list[bytes]:
    """Return whole contents: each start with as many octets of the end of the content as the sizes say."""
    if len(sizes) != LENGTH * len(starts):
        raise FrameError("a content without the size of its end")
    ends = struct.unpack(f">{len(starts)}I", sizes)
    if max(ends, default=0) > len(content):
        raise FrameError("an end longer than the message")
    view = memoryview(content)
    return [
        b"".join((start, view[len(content) - end :])) if end else start for start, end in zip(starts, ends, strict=True)
    ]


def _read_head(head: bytes) -> Sequence[Mapping[str, object]] | str:
    """Return the notes of an answer, or the reason of a failure. Raises FrameError."""
    try:
        found = _decode(head.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the head is no JSON: {type(error).__name__}") from None
    if isinstance(found, list) and all(map(_is_notes, found)):
        return found
    if isinstance(found, str) and _is_text(found):
        return found
    raise FrameError("the head has neither notes nor a reason")


_read_kept_head = lru_cache(maxsize=512)(_read_head)


def _frame(*strings: bytes | memoryview) -> bytes:
    """Return the frame of these strings."""
    return b"".join((_lengths(*strings), *strings))


def _lengths(*strings: bytes | memoryview) -> bytes:
    """Return the start of the frame of these strings."""
    lengths = list(map(len, strings))
    length = LENGTH + LENGTH * len(lengths) + sum(lengths)
    return struct.pack(f">{2 + len(lengths)}I", length, len(lengths), *lengths)


def _strings(body: bytes | memoryview) -> list[bytes]:
    """Return the strings of a frame without its length. Raises FrameError."""
    number = int.from_bytes(body[:LENGTH], "big")
    at = LENGTH + LENGTH * number
    if not LENGTH <= at <= len(body):
        raise FrameError("the lengths do not fit the frame")
    lengths = struct.unpack_from(f">{number}I", body, LENGTH)
    if at + sum(lengths) != len(body):
        raise FrameError("the strings do not fit the frame")

    strings: list[bytes] = []
    for length in lengths:
        strings.append(bytes(body[at : at + length]))
        at += length
    return strings


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")


_encode = json_encoder()
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _is_notes(value: object) -> bool:
    """Whether these are notes of an event: texts, whole numbers, and lists of texts, by name."""
    return isinstance(value, dict) and all(_is_text(name) and _is_note_value(note) for name, note in value.items())


def _is_note_value(value: object) -> bool:
    if isinstance(value, list):
        return len(value) <= MAX_NOTES and all(map(_is_text, value))
    return _is_text(value) or (isinstance(value, int) and abs(value) < 2**53)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()
