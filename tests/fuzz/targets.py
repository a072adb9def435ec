"""The targets of the fuzzer: functions that take any octets, and raise where a parser breaks what it promises.

`tests/property/test_fuzz_inputs.py` runs them over all inputs that were found once. Nothing here needs the fuzzer.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay.delivery.reply_parser import MAX_LINE, MalformedReply, ReplyReader
from relay.dsn.classify import classify_recipient
from relay.dsn.mime_parts import decode_words, walk, without_markup
from relay.dsn.parse import parse
from relay.dsn.reply_parts import mask_reply
from relay.dsn.rules_file import built_in_rules
from relay.inbound.correlate import referenced_message_ids
from relay.inbound.replies import header_of, parse_reply
from relay.inbound.spam import spam_mark
from relay.inbound.unsubscribe_request import Answered
from relay.mail.address import AddressError, is_address, parse_address
from relay.mail.address_list import Unreadable, parse_address_list, parse_by_grammar
from relay.mail.canonical_address import canonical
from relay.mail.dot_stuffing import normalise
from relay.mail.instructions import InstructionError
from relay.mail.reply import Reply
from relay.mail.smtp_command import decode_xtext, parse_bdat, parse_helo, parse_line, parse_mail, parse_rcpt
from relay.mail.srs import srs_decode
from relay.mail.transaction import Recipient
from relay.mailauth.dkim_record import tags_of
from relay.mailauth.dmarc import is_dmarc
from relay.mailauth.spf_record import is_spf
from relay.policy.message_facts import parse_facts
from relay.rewrite.originator_fields import with_reply_address
from relay.tracker.client import client_address, parse_client
from relay.tracker.fast_path import parse_fast_request
from relay.tracker.location import location
from tests.fuzz.python_reading import seen_by_python
from tests.native import twins
from tests.property.tracker_exchange import both

ROOT = Path(__file__).resolve().parents[2]

FOUND = ROOT / "tests" / "golden" / "fuzz"
"""Inputs that once broke a parser, a folder for each target."""

MAX_SECONDS = 2.0
"""Seconds that an input may take in a target, at most: work grows no faster than the input."""


def address_list(data: bytes) -> None:
    """One strict reading: by grammar and by common form alike, of every address that Python's reader sees."""
    value = data.decode("utf-8", "surrogateescape")
    read = parse_address_list(value)
    assert read == parse_by_grammar(value), "the common form is read in another way than the grammar"
    if isinstance(read, Unreadable):
        assert 0 <= read.position <= len(value)
        return
    for one in read:
        again = parse_address_list(one.address)
        assert not isinstance(again, Unreadable), f"{one.address!r} was read, and does not read: {again}"
        assert [mailbox.address for mailbox in again] == [one.address]
        form = canonical(one.address)
        assert canonical(form) == form, f"the canonical form of {one.address!r} is not its own"
    seen = seen_by_python(value)
    read_forms = {canonical(one.address) for one in read}
    assert seen <= read_forms, f"Python sees {seen - read_forms} in {value!r}"


def address(data: bytes) -> None:
    """An address of the envelope, and its canonical form."""
    text = data.decode("utf-8", "surrogateescape")
    form = canonical(text)
    assert canonical(form) == form, f"the canonical form {form!r} of {text!r} is not its own: {canonical(form)!r}"
    try:
        parsed = parse_address(text)
    except AddressError:
        return
    assert str(parsed).rpartition("@")[0] == text.rpartition("@")[0]
    assert is_address(form) or len(form) > 254, f"{text!r} is an address, its canonical form {form!r} is none"


def header(data: bytes) -> None:
    """The header of a submitted message."""
    try:
        facts = parse_facts(data)
    except InstructionError:
        return
    assert bool(facts.senders) is not bool(facts.author_fault)
    assert Reply(554, "5.6.0", facts.author_fault or "x").text


def dsn(data: bytes) -> None:
    """Returned mail: a report has addresses, an ordinary mail has no failures, and all of it is classified."""
    report = parse(data)
    assert all(one.address for one in report.recipients)
    if report.kind == "other":
        assert all(one.action == "delivered" for one in report.recipients)
    for one in report.recipients:
        meaning = classify_recipient(built_in_rules(), report, one)
        assert meaning.about.name == meaning.category
    assert parse(data) == report


def reply_mail(data: bytes) -> None:
    """Mail of a person or a machine to a reply address."""
    report = parse(data)
    parse_reply(data, report, Answered("the offer", is_campaign=True))
    found = header_of(data, exact=False)
    assert found["message_id"] or found["digest"]
    assert found.items() <= header_of(data, exact=True).items()
    referenced_message_ids(data, report)
    spam_mark(data)
    spliced, _ = with_reply_address(data, "r@r.test")
    assert spliced.endswith(data.partition(b"\r\n\r\n")[2])


def mime(data: bytes) -> None:
    """The MIME structure: as reports are read, and as mail is rewritten by both twins."""
    for part in walk(data):
        without_markup(part.text())
        decode_words(part.header.get("subject"))
    difference = twins.mail_disagreement(data) or twins.disagreement(data, twins.SWITCHES["all"])
    assert not difference, difference


def smtp_reply(data: bytes) -> None:
    """Replies of servers: the same wherever packets end, and nothing is kept without bound."""
    whole, cut = ReplyReader(), ReplyReader()
    found = whole.feed(data)
    step = 1 + len(data) % 7
    pieces: list[Reply | MalformedReply] = []
    for start in range(0, len(data), step):
        pieces += cut.feed(data[start : start + step])
    assert pieces == found, "the replies depend on the packets"
    assert len(whole._buffer) <= MAX_LINE
    for one in found:
        if isinstance(one, Reply):
            assert 200 <= one.code <= 599
            assert all(char.isprintable() or char == "\n" for char in one.text)
            mask_reply(str(one))


def smtp_command(data: bytes) -> None:
    """Commands of clients."""
    line = parse_line(data)
    if isinstance(line, Reply):
        assert line.code >= 500
        return
    argument = line.argument
    parse_helo(argument)
    parse_bdat(argument)
    parse_mail(argument)
    for smtputf8 in (True, False):
        parsed = parse_rcpt(argument, "relay.test", smtputf8=smtputf8)
        if isinstance(parsed, Recipient):
            assert is_address(parsed.address), f"{parsed.address!r} was taken as a recipient"
            assert smtputf8 or parsed.address.isascii()
    text = decode_xtext(argument)
    assert text is None or len(text) <= len(argument)


def http(data: bytes) -> None:
    """Requests of readers: the fast path answers exactly as aiohttp does."""
    fast, slow = both([(data, True)])
    assert fast == slow, "the fast path answers in another way"
    request = parse_fast_request(data, "192.0.2.7")
    if request is not None:
        *_, forwarded_for, peer = request
        client_address(peer, forwarded_for, ())


def url(data: bytes) -> None:
    """Targets of redirects, and header fields of readers."""
    text = data.decode("utf-8", "replace")
    found = location(text)
    assert found is None or (found.isascii() and not any(char in found for char in "\r\n\0")), found
    parse_client("GET", {"User-Agent": text, "Purpose": text})
    client_address("192.0.2.7", text, ())


def record(data: bytes) -> None:
    """DNS records of strangers, signed addresses, line ends."""
    text = data.decode("utf-8", "replace")
    for parse_text, is_kind in RECORDS:
        if is_kind(text):
            with suppress(ValueError):
                parse_text(text)
    tags_of(text)
    srs_decode([b"k" * 32], text, 1_800_000_000.0)
    lines = normalise(data)
    assert normalise(lines) == lines


def _records() -> Iterator[tuple[Callable[[str], Any], Callable[[str], bool]]]:
    from relay.mailauth.dkim_record import parse_published_key
    from relay.mailauth.dmarc import parse_dmarc
    from relay.mailauth.spf_record import parse_spf

    yield parse_spf, is_spf
    yield parse_dmarc, is_dmarc
    yield parse_published_key, lambda text: True


RECORDS = tuple(_records())

TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (address_list, address, header, dsn, reply_mail, mime, smtp_reply, smtp_command, http, url, record)
}


def check(name: str, data: bytes) -> None:
    """Run a target over an input, within the time that its size allows."""
    began = time.process_time()
    TARGETS[name](data)
    seconds = time.process_time() - began
    assert seconds < MAX_SECONDS, f"{len(data)} octets took {seconds:.1f} s"
