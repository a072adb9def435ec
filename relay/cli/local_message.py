"""A message of a program on this machine, as sendmail(8) reads it: recipients of the header, Bcc, a missing From."""

import getpass
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.parser import BytesHeaderParser
from email.policy import SMTP
from email.utils import getaddresses
from typing import BinaryIO

_RECIPIENT_FIELDS = ("to", "cc", "bcc")


@dataclass(frozen=True, slots=True)
class LocalMessage:
    """The recipients, the address of the user, and the content with CRLF."""

    recipients: Sequence[str]
    author: str
    content: bytes


def local_message(
    lines: Iterable[bytes] | BinaryIO,
    recipients: Sequence[str],
    *,
    from_header: bool,
    whole: bool,
    full_name: str,
    domain: str,
    user: str = "",
) -> LocalMessage:
    """Read a message. `whole`: a line with a dot only does not end it.

    `from_header` adds the recipients of To, Cc and Bcc, or of Resent-To, Resent-Cc and Resent-Bcc if there is one.
    Addresses without a domain get `domain`. The author is `user`, by default the user of this process.
    """
    content = b"".join(_lines(lines, whole=whole))
    header, fields, body = _parts(content)
    wanted = [*recipients, *(_header_recipients(header) if from_header else ())]
    author = qualified(user or getpass.getuser(), domain)
    kept = (
        [field for field in fields if not field.lower().startswith((b"bcc:", b"resent-bcc:"))]
        if from_header
        else fields
    )
    if not any(field.lower().startswith(b"from:") for field in fields):
        kept = [f"From: {Address(full_name, addr_spec=author)}\r\n".encode(), *kept]
    unique = dict.fromkeys(qualified(one, domain) for one in wanted if one)
    return LocalMessage(tuple(unique), author, b"".join(kept) + b"\r\n" + body)


def qualified(address: str, domain: str) -> str:
    """Return the address with `domain` if it has none."""
    return address if "@" in address else f"{address}@{domain}"


def _lines(lines: Iterable[bytes], *, whole: bool) -> Iterable[bytes]:
    for line in lines:
        text = line.rstrip(b"\r\n")
        if text == b"." and not whole:
            return
        yield text + b"\r\n"


def _parts(content: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Return the header, its fields, and the body. A line that is no field begins the body."""
    fields: list[bytes] = []
    lines = content.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line == b"\r\n":
            return b"".join(fields), fields, b"".join(lines[index + 1 :])
        if fields and line[:1] in b" \t":
            fields[-1] += line
        elif line.partition(b":")[1] and b" " not in line.partition(b":")[0].strip():
            fields.append(line)
        else:
            return b"".join(fields), fields, b"".join(lines[index:])
    return b"".join(fields), fields, b""


def _header_recipients(header: bytes) -> Sequence[str]:
    found = BytesHeaderParser(policy=SMTP.clone(refold_source="none")).parsebytes(header)
    resent = any(f"resent-{name}" in found for name in _RECIPIENT_FIELDS)
    values = [str(one) for name in _RECIPIENT_FIELDS for one in found.get_all(f"resent-{name}" if resent else name, ())]
    return [address for _, address in getaddresses(values)]
