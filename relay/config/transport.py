"""Sections about connections: listeners, SMTP sessions, delivery, providers, the bounce mailbox."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from relay.config.values import (
    Amount,
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
    Port,
    Secret,
    Section,
    SomeSeconds,
    parse_network,
    wrong,
)

Tls = Literal["none", "starttls", "implicit"]


_SPF_MECHANISM = re.compile(r"(?:(?:include|exists|ip4|ip6):|(?:a|mx)(?:[:/]|$))[!-~]*", re.IGNORECASE)


LOOPBACK = (parse_network("127.0.0.0/8"), parse_network("::1/128"))


class Listener(Listening):
    """`[[listener]]`: where SMTP comes in."""

    name: Name = Field(examples=["submission"])
    kind: Literal["submission", "inbound"] = "submission"
    address: ListenAddress = Field(examples=["127.0.0.1:2525"])
    tls: Tls = "none"
    certificate: ConfigPath = None
    key: ConfigPath = None
    auth: Literal["optional", "required"] = "optional"
    allow_networks: tuple[Network, ...] = LOOPBACK


class Smtp(Section):
    """`[smtp]`: what one client may ask of the SMTP server."""

    max_connections: Amount = 1000
    max_connections_per_client: Amount = 100
    idle_timeout: SomeSeconds = 300.0
    data_timeout: SomeSeconds = 180.0
    max_errors: Amount = 20
    max_junk_commands: Amount = 100
    max_auth_failures: Amount = 3
    max_command_line: Octets = Field(default=2048, ge=512)
    max_received_hops: Amount = 100
    max_header_size: Octets = 2 * 1024 * 1024


class Delivery(Section):
    """`[delivery]`: how mail leaves."""

    port: Port = 25
    connections_per_lane: Amount = 10
    max_connections: Amount = 200
    messages_per_connection: Amount = 100
    connect_timeout: SomeSeconds = 30.0
    command_timeout: SomeSeconds = 300.0
    data_timeout: SomeSeconds = 600.0
    idle_timeout: SomeSeconds = 10.0
    tls: Literal["opportunistic", "require", "none"] = "opportunistic"
    helo: OptionalDomain = ""
    ipv6: Flag = True
    allow_networks: tuple[Network, ...] = ()


def _spf_mechanisms(text: str) -> str:
    """Take the mechanisms of an SPF record alone: the record around them is made of all providers (RFC 7208 4.6.1)."""
    for term in text.split():
        if not _SPF_MECHANISM.fullmatch(term):
            raise wrong(f'"{term}" is no SPF mechanism', 'such as "include:_spf.provider.example", several with blanks')
    return " ".join(text.split())


class Provider(Section):
    """`[[provider]]`: an upstream SMTP service. Limits and connections of 0 mean none set and the default."""

    name: Name = Field(examples=["provider"])
    host: Host = Field(examples=["smtp.provider.example"])
    port: Port = 587
    tls: Tls = "starttls"
    username: str = ""
    password: Secret = Field(default=SecretStr(""), examples=["secret"])
    hourly_limit: Count = 0
    daily_limit: Count = 0
    connections: Count = 0
    spf: Annotated[str, AfterValidator(_spf_mechanisms)] = ""


class Imap(Section):
    """`[bounces.imap]`: a mailbox bounces come back to."""

    host: Host = Field(examples=["imap.provider.example"])
    port: Port = 993
    tls: Tls = "implicit"
    username: str = Field(min_length=1, examples=["bounces@acme.test"])
    password: Secret = Field(examples=["secret"])
    folder: str = Field(default="INBOX", min_length=1)
    handled: Literal["move", "flag", "leave"] = "move"
    handled_folder: str = Field(default="Handled", min_length=1, validate_default=True)
    interval: SomeSeconds = 60.0

    @field_validator("tls")
    @classmethod
    def _password_is_safe(cls, tls: Tls, info: ValidationInfo) -> Tls:
        if tls == "none" and not _is_loopback(info.data.get("host", "localhost")):
            raise wrong("the password would travel in the clear", '"starttls" or "implicit"')
        return tls

    @field_validator("handled_folder")
    @classmethod
    def _empties_elsewhere(cls, folder: str, info: ValidationInfo) -> str:
        if info.data.get("handled") == "move" and folder == info.data.get("folder"):
            raise wrong(f'"{folder}" is the folder that is watched', "another folder")
        return folder


class Bounces(Section):
    """`[bounces]`: when an address is given up."""

    threshold: Amount = 3
    imap: Imap | None = None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
