"""Sections of connections: listeners, SMTP sessions, delivery, providers, the bounce mailbox."""

import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from relay.config.compat import Dialects
from relay.config.oauth import OAuth
from relay.config.parsers import parse_host_port, parse_network, quoted, setting_error
from relay.config.values import (
    BaseUrl,
    ConfigPath,
    Count,
    Flag,
    Host,
    ListenAddress,
    Listening,
    Name,
    Network,
    Octets,
    OptionalDomain,
    OptionalMailAddress,
    Port,
    PositiveCount,
    PositiveSeconds,
    Secret,
    Section,
    Text,
)
from relay.networks import NetworkSet

Tls = Literal["none", "starttls", "implicit"]

_SPF_MECHANISM = re.compile(r"(?:(?:include|exists|ip4|ip6):|(?:a|mx)(?:[:/]|$))[!-~]*", re.IGNORECASE)

LOOPBACK = (parse_network("127.0.0.0/8"), parse_network("::1/128"))


class Listener(Listening):
    """`[[listener]]`: an address where the SMTP server accepts connections."""

    name: Name = Field(examples=["example"])
    kind: Literal["submission", "inbound"] = "submission"
    address: ListenAddress = Field(examples=["127.0.0.1:0"])
    tls: Tls = "none"
    certificate: ConfigPath = None
    key: ConfigPath = None
    auth: Literal["optional", "required"] = "optional"
    allow_networks: tuple[Network, ...] = LOOPBACK
    reserved_connections: Count = 0
    proxy_protocol: Flag = False
    trusted_proxies: tuple[Network, ...] = ()

    def allows(self, client: str) -> bool:
        """Whether a client, by its IP address, may send without AUTH."""
        return self.kind == "submission" and self.auth == "optional" and client in self._allowed

    @cached_property
    def _allowed(self) -> NetworkSet:
        """The `allow_networks`."""
        return NetworkSet(self.allow_networks)


class Smtp(Section):
    """`[smtp]`: limits and timeouts of SMTP sessions."""

    max_connections: PositiveCount = 1000
    max_connections_per_client: PositiveCount = 100
    idle_timeout: PositiveSeconds = 300.0
    data_timeout: PositiveSeconds = 180.0
    stress_timeout: PositiveSeconds = 10.0
    max_errors: PositiveCount = 20
    max_junk_commands: PositiveCount = 100
    max_auth_failures: PositiveCount = 3
    max_command_line: Octets = Field(default=2048, ge=512)
    max_received_hops: PositiveCount = 100
    max_header_size: Octets = 256 * 1024
    max_header_fields: PositiveCount = 1000
    lenient_local_parts: Flag = True


class Delivery(Section):
    """`[delivery]`: connections, timeouts and TLS of the SMTP client."""

    port: Port = 25
    connections_per_lane: PositiveCount = 10
    max_connections: PositiveCount = 200
    messages_per_connection: PositiveCount = 100
    connect_timeout: PositiveSeconds = 30.0
    command_timeout: PositiveSeconds = 300.0
    data_timeout: PositiveSeconds = 600.0
    transaction_timeout: PositiveSeconds = 1800.0
    idle_timeout: PositiveSeconds = 10.0
    tls: Literal["opportunistic", "require", "none"] = "opportunistic"
    helo: OptionalDomain = ""
    ipv6: Flag = True
    allow_networks: tuple[Network, ...] = ()


def _spf_mechanisms(text: str) -> str:
    """Accept SPF mechanisms without the record, which is built from those of all providers (RFC 7208 section 4.6.1)."""
    for term in text.split():
        if not _SPF_MECHANISM.fullmatch(term):
            raise setting_error(
                f'"{term}" is not an SPF mechanism', 'such as "include:_spf.provider.example", separated by spaces'
            )
    return " ".join(text.split())


class Provider(Section):
    """`[[provider]]`: an upstream SMTP service. A limit of 0 means no limit, connections of 0 the default number."""

    name: Name = Field(examples=["example"])
    host: Host = Field(examples=["smtp.provider.example"])
    port: Port = 587
    tls: Tls = "starttls"
    username: Text = ""
    password: Secret = Field(default=SecretStr(""), examples=["secret"])
    hourly_limit: Count = 0
    daily_limit: Count = 0
    connections: Count = 0
    spf: Annotated[str, AfterValidator(_spf_mechanisms)] = ""
    keeps_headers: Dialects = ()
    oauth: OAuth | None = None


def _server_address(value: str) -> str:
    """Accept "host:port" of a server, or nothing."""
    if value and parse_host_port(value).port == 0:
        raise setting_error("port 0 is no port of a server", "1 to 65535")
    return value


def _ascii_address(value: str) -> str:
    """Refuse a reverse-path that needs SMTPUTF8: many servers do not offer it (RFC 6531 section 3.2)."""
    if not value.isascii():
        raise setting_error(f"{quoted(value)} is not ASCII, so many servers refuse mail from it", "an ASCII address")
    return value


class Imap(Section):
    """`[bounces.imap]`: a mailbox that receives bounces."""

    host: Host = Field(examples=["imap.provider.example"])
    port: Port = 993
    tls: Tls = "implicit"
    username: Text = Field(min_length=1, examples=["bounces@acme.test"])
    password: Secret = Field(default=SecretStr(""), examples=["secret"])
    folder: Text = Field(default="INBOX", min_length=1)
    handled: Literal["move", "flag", "leave"] = "move"
    handled_folder: Text = Field(default="Handled", min_length=1, validate_default=True)
    interval: PositiveSeconds = 60.0
    oauth: OAuth | None = None

    @field_validator("tls")
    @classmethod
    def _require_tls(cls, tls: Tls, info: ValidationInfo) -> Tls:
        if tls == "none" and not _is_loopback(info.data.get("host", "localhost")):
            raise setting_error("the password would be sent in clear text", '"starttls" or "implicit"')
        return tls

    @field_validator("handled_folder")
    @classmethod
    def _require_other_folder(cls, folder: str, info: ValidationInfo) -> str:
        polled = info.data.get("folder", "")
        is_inbox = folder.upper() == polled.upper() == "INBOX"
        if info.data.get("handled") == "move" and (folder == polled or is_inbox):
            raise setting_error(f'"{folder}" is the polled folder', "another folder")
        return folder


Suppressing = Literal[
    "bad_mailbox",
    "bad_domain",
    "mailbox_disabled",
    "mailbox_full",
    "recipient_refused",
    "relay_denied",
    "unknown",
    "server_error",
    "expired",
]
"""Bounce categories that suppress an address, at once or after several bounces."""


class Bounces(Section):
    """`[bounces]`: where bounces go, when an address is suppressed, and for how long."""

    address: Annotated[OptionalMailAddress, AfterValidator(_ascii_address)] = ""
    threshold: PositiveCount = 3
    expire: dict[Suppressing, PositiveSeconds] = Field(default_factory=dict)
    """Seconds by category."""
    imap: Imap | None = None

    @property
    def suppression_lengths(self) -> Mapping[str, float]:
        """The seconds of suppressions that end, by category."""
        return {category: seconds for category, seconds in self.expire.items()}  # noqa: C416  a wider type


class Spam(Section):
    """`[spam]`: the spam filter that checks mail of applications before it is queued."""

    rspamd: BaseUrl = ""
    spamd: Annotated[str, AfterValidator(_server_address)] = ""
    senders: Literal["all", "unlisted"] = "all"
    score: Count = 0
    """Score from which mail is spam; 0 for that of the filter."""
    fail: Literal["open", "closed"] = "open"
    timeout: PositiveSeconds = 10.0
    max_size: Octets = 2 * 1024 * 1024
    """Octets that are checked; the rest of a larger message is not."""
    connections: PositiveCount = 10

    @property
    def is_on(self) -> bool:
        """Whether there is a filter."""
        return bool(self.rspamd or self.spamd)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
