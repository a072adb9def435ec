"""What is known of an SMTP client, and the transaction it makes (RFC 5321 section 3.3)."""

from dataclasses import dataclass
from typing import Literal

from relay.mail.envelope import Envelope

ListenerKind = Literal["submission", "inbound"]


@dataclass(frozen=True, slots=True)
class Session:
    """A client's connection as far as decisions need it."""

    listener: str
    """Name of the listener in the config."""
    kind: ListenerKind
    client: str
    """IP address, without port or brackets."""
    helo: str = ""
    extended: bool = False
    """It greeted with EHLO."""
    tls: str = ""
    """Protocol and cipher, "" in clear text."""
    credential: str = ""
    """Name of the credential it authenticated with."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A whole mail as it was received: content with CRLF line ends, dots unstuffed, nothing added."""

    session: Session
    envelope: Envelope
    content: bytes
