"""From display name and Reply-To splices."""

import re
from collections.abc import Sequence

from relay.mail.address import AddressError, parse_address
from relay.mail.address_list import Unreadable, parse_address_list
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

    A value that starts with a group has none, nor has one that cannot be read.
    """
    read = parse_address_list(value.decode("utf-8", "surrogateescape").strip(" \t\r\n"))
    return b"" if isinstance(read, Unreadable) or not read or read[0].in_group else read[0].name.encode()


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


NAMED = "From has a name already"


_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*")


_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
"""What stands for itself in an encoded word of a phrase (RFC 2047 section 5, rule 3)."""


_ENCODED_LINE = 76
"""Characters of a line that has an encoded word (RFC 2047 section 2)."""


_WORD = _ENCODED_LINE - len("From: =?utf-8?q??=")
"""Octets of text in one encoded word: the first stands on the line of the field's name."""


def author_name(display_name: str, company: str) -> str:
    """Return the one form there is: "Display Name (Company)"; either of them alone; never the same twice."""
    if display_name and company and display_name != company:
        return f"{display_name} ({company})"
    return display_name or company


def with_author_name(content: bytes, name: str) -> tuple[bytes, str]:
    """Return the message with this name in its From, and ADDED; or as it came, and why.

    It stays as it came when From has a name or comment already, more than one address or none that can be read for
    certain, when there are several From fields, and when a DKIM-Signature may cover the field.
    """
    found = fields(content)
    authors = list(named(found, b"from"))
    if len(authors) != 1:
        return content, "there are several From fields" if authors else "there is no From"
    if any(named(found, b"dkim-signature")):
        return content, "the message is signed already"
    address, why = _bare_address(authors[0], content)
    if not address:
        return content, why
    return content[: authors[0].value_start] + _value(name, address) + content[authors[0].end :], ADDED


def phrase(name: str) -> str:
    """Return the name as a phrase: bare words, a quoted string, or encoded words when it is not ASCII."""
    if not name.isascii():
        return "\r\n ".join(f"=?utf-8?q?{word}?=" for word in _encoded_words(name))
    if _ATOMS.fullmatch(name) and "=?" not in name:
        return name
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'


def _bare_address(author: Field, content: bytes) -> tuple[str, str]:
    """Return the address of a From that is nothing else, or "" and what else it is."""
    value = author.value(content).decode("utf-8", "surrogateescape")
    bare = value[1:-1].strip() if value.startswith("<") and value.endswith(">") else value
    try:
        parse_address(bare)
    except AddressError:
        several = "," in value or ";" in value
        return "", "From has several addresses, or is a group" if several else NAMED
    return bare, ""


def _value(name: str, address: str) -> bytes:
    written = phrase(name)
    first = written.rpartition("\r\n")[2]
    gap = "\r\n " if len(first) + len(address) + len("From:  <>") > _ENCODED_LINE else " "
    return f" {written}{gap}<{address}>\r\n".encode("utf-8", "surrogateescape")


def _encoded_words(name: str) -> list[str]:
    """Return the texts of encoded words, no character split between two (RFC 2047 section 5)."""
    words = [""]
    for char in name:
        encoded = "".join(
            chr(octet) if octet in _Q_SAFE else "_" if char == " " else f"={octet:02X}" for octet in char.encode()
        )
        if len(words[-1]) + len(encoded) > _WORD:
            words.append("")
        words[-1] += encoded
    return words
