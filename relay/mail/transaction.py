"""Values of an SMTP transaction: recipient, envelope, session, content."""

from functools import lru_cache
from ipaddress import ip_address
from typing import Literal

from relay.frozen import dataclass
from relay.mail.instructions import Statement

BodyKind = Literal["7BIT", "8BITMIME"]

Notify = Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"]

MAX_RECIPIENTS = 100
"""Maximum recipients of one transaction to a server; every server accepts 100 (RFC 5321 section 4.5.3.1.8)."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A forward-path as given by the client. An empty `notify` means FAILURE and DELAY (RFC 3461 section 4.1)."""

    address: str
    notify: tuple[Notify, ...] = ()
    orcpt: str = ""

    def requests_dsn(self, what: Notify) -> bool:
        """Whether a DSN of this kind is requested; without NOTIFY failures and delays are reported."""
        if not self.notify:
            return what in ("FAILURE", "DELAY")
        return what in self.notify


@dataclass(frozen=True, slots=True)
class Envelope:
    """Reverse-path ("" when null), recipients in order, and the parameters of MAIL."""

    reverse_path: str
    recipients: tuple[Recipient, ...] = ()
    body: BodyKind = "7BIT"
    smtputf8: bool = False
    ret: Literal["", "FULL", "HDRS"] = ""
    envid: str = ""

    def with_recipient(self, recipient: Recipient) -> "Envelope":
        """Return the envelope with one more recipient."""
        recipients = (*self.recipients, recipient)
        return Envelope(self.reverse_path, recipients, self.body, self.smtputf8, self.ret, self.envid)


ListenerKind = Literal["submission", "inbound"]


@dataclass(frozen=True, slots=True)
class Session:
    """Attributes of a client's connection that decisions depend on."""

    listener: str
    """Name of the listener in the config."""
    kind: ListenerKind
    client: str
    """IP address, without port or brackets; an IPv4-mapped one as IPv4."""
    helo: str = ""
    extended: bool = False
    """Whether it greeted with EHLO."""
    tls: str = ""
    """Protocol and cipher, "" in clear text."""
    credential: str = ""
    """Name of the credential it authenticated with."""
    credential_key: str = ""
    """Fingerprint of the hash of the secret it gave."""
    protocol: Literal["SMTP", "HTTP"] = "SMTP"
    client_known: bool = True
    """False if `client` is a proxy that named no client (`relay.proxy_protocol`): its address proves nothing."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A mail as received: content with CRLF line ends, dots unstuffed, nothing added."""

    session: Session
    envelope: Envelope
    content: bytes
    instructions: tuple[Statement, ...] = ()
    """Instructions that came beside the header, and have precedence over it."""
    request: str = ""
    """Digest of the request of which the mail is a part, "" if it is the whole."""


@lru_cache(maxsize=4096)
def network_of(client: str) -> str:
    """Return the key of one client: an IPv4 address, or the /64 network of an IPv6 address."""
    address = ip_address(client)
    return client if address.version == 4 else address.exploded[:19]
