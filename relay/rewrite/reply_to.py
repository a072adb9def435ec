"""A Reply-To that leads answers through the relay, put into a message by splice (RFC 5322 section 3.6.2). Pure."""

from collections.abc import Sequence

from relay.mail.headers import Field, fields, named

ADDED = "added"
"""What the story notes when the address was put in; otherwise it notes why not."""

_LINE = 78
"""Characters of a line (RFC 5322 section 2.1.1)."""

_NAME = b"Reply-To:"


def with_reply_address(content: bytes, address: str) -> tuple[bytes, str]:
    """Return the message with this address as its only Reply-To, and ADDED; or as it came, and why.

    The name beside the address is the one of the Reply-To, else the one of From, byte for byte as it stands there. It
    stays as it came when there is no From, and when a DKIM-Signature may cover the field, present or absent.
    """
    found = fields(content)
    author = next(named(found, b"from"), None)
    if author is None:
        return content, "there is no From"
    if any(named(found, b"dkim-signature")):
        return content, "the message is signed already"
    given = list(named(found, b"reply-to"))
    name = next(filter(None, (display_name(content[one.value_start : one.end]) for one in (*given, author))), b"")
    return _spliced(content, given, author, _field(name, address.encode("utf-8", "surrogateescape"))), ADDED


def display_name(value: bytes) -> bytes:
    """Return the name of the first mailbox of a From-like value as it stands there, folds included; b"" for none.

    A name is what stands before <>, quoted or not; comments and the names of groups are none.
    """
    at, depth = 0, 0
    while at < len(value):
        char = value[at : at + 1]
        if char == b'"' and not depth:
            at = _end_of_string(value, at)
            continue
        if char == b"\\":
            at += 1
        elif char == b"(":
            depth += 1
        elif char == b")" and depth:
            depth -= 1
        elif not depth and char in b"<:;,@":
            return value[:at].strip() if char == b"<" else b""
        at += 1
    return b""


def _field(name: bytes, address: bytes) -> bytes:
    if not name:
        return _NAME + b" <" + address + b">\r\n"
    start = _NAME + b" " + name
    last = start.rpartition(b"\n")[2]
    gap = b"\r\n " if len(last) + len(b" <>") + len(address) > _LINE else b" "
    return start + gap + b"<" + address + b">\r\n"


def _spliced(content: bytes, given: Sequence[Field], author: Field, new: bytes) -> bytes:
    """Put the new field in place of the first one given, the others out; behind From when none was given."""
    if not given:
        return content[: author.end] + _ended(content[: author.end]) + new + content[author.end :]
    first, *others = given
    pieces = [content[: first.start], new]
    at = first.end
    for other in others:
        pieces.append(content[at : other.start])
        at = other.end
    return b"".join([*pieces, content[at:]])


def _ended(before: bytes) -> bytes:
    """Return the line end that is missing where the content ends in the middle of its header."""
    return b"" if before.endswith(b"\r\n") else b"\r\n"


def _end_of_string(value: bytes, start: int) -> int:
    at = start + 1
    while at < len(value):
        if value[at : at + 1] == b"\\":
            at += 2
            continue
        if value[at : at + 1] == b'"':
            return at + 1
        at += 1
    return len(value)
