"""The sections of events for other programs: `[[webhook]]` and `[api]`."""

import base64
import binascii
import re
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from relay.config.parsers import quoted, setting_error
from relay.config.values import (
    FROM_FILE,
    ConfigPath,
    DomainName,
    Listening,
    MailAddress,
    Name,
    Network,
    PositiveCount,
    PositiveSeconds,
    Secret,
    Section,
    Text,
)
from relay.mail.public_address import is_numeric_host

WebhookFormat = Literal[
    "standard", "sendgrid", "mailgun", "postmark", "ses", "cloudevents", "cloudevents-binary", "slack"
]

MessageEvents = Literal[
    "created",
    "processed",
    "delivered",
    "deferred",
    "bounced",
    "dropped",
    "held",
    "open",
    "click",
    "reply",
    "unsubscribe",
    "complaint",
    "feedback",
]
"""Events of messages, by the names that all commands use."""

OperatorEvents = Literal[
    "alert",
    "delivery.paused",
    "identity.paused",
    "identity.resumed",
    "domain.changed",
    "tracking.down",
    "tracking.up",
    "store.trouble",
    "store.recovered",
    "audit.leak",
    "node.gone",
    "imap.failed",
    "tls.certificate_failed",
    "tls.certificate_warning",
    "webhook.failing",
    "webhook.recovered",
    "webhook.paused",
    "webhook.lost",
]
"""Events of the relay itself: each alert, and log lines by their names."""

BATCHES: frozenset[WebhookFormat] = frozenset({"sendgrid"})
"""Formats that take several events in a post."""

SECRET, PRIVATE = "whsec_", "whsk_"
"""Prefixes of an HMAC key and of a private Ed25519 key (Standard Webhooks 1.0.0)."""

MIN_KEY, MAX_KEY = 24, 64
"""Octets of an HMAC key (Standard Webhooks: 192 to 512 bits)."""

SEED = 32
"""Octets of an Ed25519 seed; some tools write the public key behind it."""

_KEY_FORM = "the output of `relay webhook new NAME`"

_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")

_OWN_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


def parse_webhook_key(text: str) -> tuple[str, bytes]:
    """Return prefix and octets of "whsec_…" or "whsk_…". Raises ValueError, which never has the key."""
    prefix = next((one for one in (SECRET, PRIVATE) if text.startswith(one)), None)
    if prefix is None:
        raise ValueError(f"a key begins with {SECRET} or {PRIVATE}")
    try:
        octets = base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the text after {prefix} is not base64") from None
    if prefix == SECRET and not MIN_KEY <= len(octets) <= MAX_KEY:
        raise ValueError(f"the key has {len(octets)} octets, not {MIN_KEY} to {MAX_KEY}")
    if prefix == PRIVATE and len(octets) not in (SEED, 2 * SEED):
        raise ValueError(f"the Ed25519 key has {len(octets)} octets, not {SEED} or {2 * SEED}")
    return prefix, octets if prefix == SECRET else octets[:SEED]


def _keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in keys:
        try:
            parse_webhook_key(key.get_secret_value())
        except ValueError as error:
            raise setting_error(str(error), _KEY_FORM) from None
    return keys


def post_url(value: str) -> str:
    """Return an absolute URL of HTTP, without login and fragment."""
    url = value.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:  # The port or an IPv6 address is invalid.
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise setting_error(f"{quoted(value)} is not an absolute URL", '"https://host/path"')
    if not _is_host(parts.hostname or ""):
        problem = f"{quoted(value)} has a host that is neither a name nor an address"
        raise setting_error(problem, "a host name, or an address such as 192.0.2.1")
    if parts.fragment or parts.username is not None:
        raise setting_error(f"{quoted(value)} has a fragment or a user in it", "username and password_file for a login")
    return url


_HOST = re.compile(r"[a-z0-9_.-]+")

_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL (RFC 6454): empty, and port 0, for a text that is none."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:  # The port or an IPv6 address is invalid.
        return "", "", 0
    return parts.scheme, parts.hostname or "", _PORTS.get(parts.scheme, 0) if port is None else port


def _is_host(host: str) -> bool:
    """Whether it is a host name, or an address in its usual form. Others may be read as an address elsewhere."""
    try:
        ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None and not is_numeric_host(host)
    return "%" not in host


def request_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Return header fields that a request may have beside its own."""
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
            raise setting_error(f"{quoted(name)} cannot be set", "names such as X-Api-Key or Authorization")
        text = value.get_secret_value()
        if not text.isascii() or not text.isprintable():
            raise setting_error(f"the value of {name} has characters that no header field can have", "visible ASCII")
    return headers


class Webhook(Section):
    """`[[webhook]]`: a receiver to which events are posted."""

    name: Name = Field(examples=["crm"])
    url: Annotated[str, FROM_FILE, AfterValidator(post_url)] = Field(examples=["https://crm.example.com/hooks/mail"])
    format: WebhookFormat = "standard"
    secret: Annotated[tuple[SecretStr, ...], FROM_FILE, AfterValidator(_keys)] = Field(default=(), examples=[()])
    events: tuple[MessageEvents | OperatorEvents, ...] = ()
    domains: tuple[DomainName, ...] = ()
    identities: tuple[MailAddress, ...] = ()
    campaigns: tuple[Text, ...] = ()
    tags: tuple[Text, ...] = ()
    type: Literal["any", "transactional", "campaign"] = "any"
    machines: Literal["labelled", "none"] = "labelled"
    include: tuple[Literal["subject"], ...] = ()
    username: Text = ""
    password: Secret = Field(default=SecretStr(""), examples=["secret"])
    headers: Annotated[dict[str, SecretStr], AfterValidator(request_headers)] = Field(default={})
    timeout: PositiveSeconds = 15.0
    concurrency: Annotated[PositiveCount, Field(le=32)] = 4
    batch: Annotated[PositiveCount, Field(le=1000)] = 1
    retry: Annotated[tuple[PositiveSeconds, ...], Field(min_length=1)] = (
        *(5.0, 300.0, 1800.0, 7200.0, 18000.0),
        *(36000.0, 50400.0, 72000.0, 86400.0),
    )
    give_up: PositiveSeconds = 5 * 86400.0
    allow_networks: tuple[Network, ...] = ()
    ca_file: ConfigPath = None

    @property
    def host(self) -> str:
        """Host name or IP address of the receiver, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_plain(self) -> bool:
        """Whether it is reached without TLS."""
        return urlsplit(self.url).scheme == "http"


class Api(Listening):
    """`[api]`: the HTTP API of applications."""

    requests_per_minute: PositiveCount = 600
    max_identities: PositiveCount = 1000
    trusted_proxies: tuple[Network, ...] = ()
