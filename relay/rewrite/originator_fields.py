"""Splices one header field: the display name of From, or Reply-To."""

import re
from collections.abc import Sequence

from relay.mail.address import AddressError, parse_address
from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.headers import Field, fields, named

ADDED = "added"
"""Note of a field that was changed. Any other note gives the reason why not."""

HAS_NAME = "From has a name already"
"""Note of a From that has a display name."""

_MAX_LINE = 78
"""Characters of a line, at most (RFC 5322 section 2.1.1)."""

_MAX_ENCODED_LINE = 76
"""Characters of a line with an encoded word, at most (RFC 2047 section 2)."""

_MAX_ENCODED_TEXT = _MAX_ENCODED_LINE - len("From: =?utf-8?q??=")
"""Octets of text in one encoded word, at most: the first word is on the line of the field name."""

_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
"""Octets that an encoded word in a phrase needs not escape (RFC 2047 section 5, rule 3)."""

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*")

_REPLY_TO = b"Reply-To:"


def with_author_name(content: bytes, name: str) -> tuple[bytes, str]:
    """Return the message with this name in its From, and ADDED; or unchanged, and the reason.

    It stays unchanged when From has a name, a comment, several addresses or a malformed one. The same holds for several
    From fields, and for a message with a DKIM-Signature, which may cover the field.
    """
    found = fields(content)
    authors = list(named(found, b"from"))
    if len(authors) != 1:
        return content, "there are several From fields" if authors else "there is no From"
    if any(named(found, b"dkim-signature")):
        return content, "the message is signed already"

    address, reason = _sole_address(authors[0], content)
    if not address:
        return content, reason
    return content[: authors[0].value_start] + _from_value(name, address) + content[authors[0].end :], ADDED


def author_name(display_name: str, company: str) -> str:
    """Return "Display Name (Company)", or one of them alone when the other is empty or the same."""
    if display_name and company and display_name != company:
        return f"{display_name} ({company})"
    return display_name or company


def phrase(name: str) -> str:
    """Return the name as a phrase: atoms, a quoted string, or encoded words when it is not ASCII."""
    if not name.isascii():
        return "\r\n ".join(f"=?utf-8?q?{word}?=" for word in _encoded_words(name))
    if _ATOMS.fullmatch(name) and "=?" not in name:
        return name
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'


def _sole_address(author: Field, content: bytes) -> tuple[str, str]:
    """Return the address of a From without a display name, or "" and the reason."""
    value = author.value(content).decode("utf-8", "surrogateescape")
    bare = value[1:-1].strip() if value.startswith("<") and value.endswith(">") else value
    try:
        parse_address(bare)
    except AddressError:
        several = "," in value or ";" in value
        return "", "From has several addresses, or is a group" if several else HAS_NAME
    return bare, ""


def _from_value(name: str, address: str) -> bytes:
    written = phrase(name)
    first = written.rpartition("\r\n")[2]
    gap = "\r\n " if len(first) + len(address) + len("From:  <>") > _MAX_ENCODED_LINE else " "
    return f" {written}{gap}<{address}>\r\n".encode("utf-8", "surrogateescape")


def _encoded_words(name: str) -> list[str]:
    """Return the texts of encoded words. No character is split between two (RFC 2047 section 5)."""
    words = [""]
    for char in name:
        encoded = "".join(
            chr(octet) if octet in _Q_SAFE else "_" if char == " " else f"={octet:02X}" for octet in char.encode()
        )
        if len(words[-1]) + len(encoded) > _MAX_ENCODED_TEXT:
            words.append("")
        words[-1] += encoded
    return words


def with_reply_address(content: bytes, address: str) -> tuple[bytes, str]:
    """Return the message with this address as its only Reply-To, and ADDED; or unchanged, and the reason.

    The display name is that of the Reply-To, else that of From, with the same bytes. A message without From stays
    unchanged, and so does one with a DKIM-Signature, which may cover the field or its absence.
    """
    found = fields(content)
    author = next(named(found, b"from"), None)
    if author is None:
        return content, "there is no From"
    if any(named(found, b"dkim-signature")):
        return content, "the message is signed already"

    given = list(named(found, b"reply-to"))
    name = next(filter(None, (display_name(content[one.value_start : one.end]) for one in (*given, author))), b"")
    new = _reply_to_field(name, address.encode("utf-8", "surrogateescape"))
    return _replace_reply_to(content, given, author, new), ADDED


def display_name(value: bytes) -> bytes:
    """Return the name of the first mailbox of a From-like value, folds included; b"" for none.

    A value that starts with a group, or that is malformed, has none.
    """
    read = parse_address_list(value.decode("utf-8", "surrogateescape").strip(" \t\r\n"))
    return b"" if isinstance(read, Unreadable) or not read or read[0].in_group else read[0].name.encode()


def _reply_to_field(name: bytes, address: bytes) -> bytes:
    if not name:
        return _REPLY_TO + b" <" + address + b">\r\n"
    start = _REPLY_TO + b" " + name
    last = start.rpartition(b"\n")[2]
    gap = b"\r\n " if len(last) + len(b" <>") + len(address) > _MAX_LINE else b" "
    return start + gap + b"<" + address + b">\r\n"


def _replace_reply_to(content: bytes, given: Sequence[Field], author: Field, new: bytes) -> bytes:
    """Replace the first Reply-To by the new field and remove the others. Without one, insert the field after From."""
    if not given:
        return content[: author.end] + _missing_line_end(content[: author.end]) + new + content[author.end :]

    first, *others = given
    pieces = [content[: first.start], new]
    at = first.end
    for other in others:
        pieces.append(content[at : other.start])
        at = other.end
    return b"".join([*pieces, content[at:]])


def _missing_line_end(before: bytes) -> bytes:
    """Return the line end that is missing when the content ends within its header."""
    return b"" if before.endswith(b"\r\n") else b"\r\n"
