"""Commands of a mail transaction, with the parameters for extensions that the server offers. Pure.

RFC 5321 section 3.3 (MAIL, RCPT, DATA, dot-stuffing 4.5.2), RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8),
RFC 3461 (DSN).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

from relay.content_file import head_of
from relay.delivery.outgoing_body import StuffedBytes, StuffedFile, outgoing_body
from relay.frozen import dataclass
from relay.mail.reply import Reply
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.queue.ports import Rendered

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that would end or corrupt a command line."""

_PARAMETER = re.compile(r"[!-<>-~]{1,500}")
"""A value of a MAIL or RCPT parameter (RFC 5321 section 4.1.2, esmtp-value)."""

_END_OF_HEADERS = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Extensions that the server offered in its reply to EHLO."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    size: bool = False
    max_size: int = 0
    """Octets of the largest message, 0 for no limit."""

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> Self:
        """Return the capabilities. Keys are keywords in lower case, values the text of their parameters."""
        limit = extensions.get("size", "").strip()
        return cls(
            pipelining="pipelining" in extensions,
            eight_bit="8bitmime" in extensions,
            smtputf8="smtputf8" in extensions,
            dsn="dsn" in extensions,
            size="size" in extensions,
            max_size=int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 19 else 0,
        )

    def minimal(self) -> Self:
        """Return the capabilities for a server that fails with its own extensions: only those that content may need."""
        return replace(self, pipelining=False, dsn=False, size=False)


@dataclass(frozen=True, slots=True)
class TransactionCommands:
    """The lines of one transaction. `body` is dot-stuffed and ends with the final dot."""

    mail: bytes
    recipients: tuple[bytes, ...]
    body: StuffedBytes | StuffedFile


def message_fault(message: Message, rendered: Rendered, offered: Capabilities) -> Reply | None:
    """Return the refusal of a message that this server cannot accept, None when it can."""
    if _CONTROL.search(rendered.reverse_path):
        return Reply(553, "5.1.7", "the reverse-path holds control characters")
    if not offered.smtputf8 and _needs_smtputf8(message, rendered):
        return Reply(553, "5.6.7", "the message needs SMTPUTF8, which the receiving server does not offer")
    if offered.max_size and len(rendered.content) > offered.max_size:
        size = len(rendered.content)
        return Reply(552, "5.3.4", f"the message has {size} octets; the receiving server takes {offered.max_size}")
    return None


def recipient_fault(entry: Entry, offered: Capabilities) -> Reply | None:
    """Return the refusal of a recipient that this server cannot accept, None when it can."""
    if _CONTROL.search(entry.recipient):
        return Reply(553, "5.1.3", "the address holds control characters")
    if not offered.smtputf8 and not entry.recipient.isascii():
        return Reply(553, "5.6.7", "the address needs SMTPUTF8, which the receiving server does not offer")
    return None


def build_commands(
    message: Message, entries: tuple[Entry, ...], rendered: Rendered, offered: Capabilities
) -> TransactionCommands:
    """Return the commands that send the message to these recipients. Parameters are used where offered and needed."""
    utf8 = offered.smtputf8 and (_needs_smtputf8(message, rendered) or not _all_ascii(entries))
    return TransactionCommands(
        _mail(message, rendered, offered, utf8),
        tuple(_rcpt(entry, offered) for entry in entries),
        outgoing_body(rendered.content),
    )


def _mail(message: Message, rendered: Rendered, offered: Capabilities, utf8: bool) -> bytes:
    words = [f"MAIL FROM:<{rendered.reverse_path}>"]
    if offered.size:
        words.append(f"SIZE={len(rendered.content)}")
    if offered.eight_bit and not rendered.content.isascii():
        words.append("BODY=8BITMIME")
    if utf8:
        words.append("SMTPUTF8")
    if offered.dsn and message.ret:
        words.append(f"RET={message.ret}")
    if offered.dsn and _PARAMETER.fullmatch(message.envid):
        words.append(f"ENVID={message.envid}")
    return f"{' '.join(words)}\r\n".encode()


def _rcpt(entry: Entry, offered: Capabilities) -> bytes:
    words = [f"RCPT TO:<{entry.recipient}>"]
    if offered.dsn and entry.notify:
        words.append(f"NOTIFY={','.join(entry.notify)}")
    if offered.dsn and _PARAMETER.fullmatch(entry.orcpt):
        words.append(f"ORCPT={entry.orcpt}")
    return f"{' '.join(words)}\r\n".encode()


def _needs_smtputf8(message: Message, rendered: Rendered) -> bool:
    """Whether the reverse-path is not ASCII, or the header of a message that was submitted with SMTPUTF8."""
    if not rendered.reverse_path.isascii():
        return True
    if not message.smtputf8:
        return False
    headers, _, _ = head_of(rendered.content).partition(_END_OF_HEADERS)
    return not headers.isascii()


def _all_ascii(entries: tuple[Entry, ...]) -> bool:
    return all(entry.recipient.isascii() for entry in entries)
