"""Sections of the server: host, HTTP ports, queue, store, DNS, limits, rendering, log and alerts."""

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from relay.config.parsers import HostPort, parse_host_port, parse_tracker_key, postgres_url_fault, setting_error
from relay.config.values import (
    FROM_FILE,
    BaseUrl,
    Count,
    DataDir,
    Flag,
    Listening,
    MailAddress,
    Network,
    Octets,
    OptionalDomain,
    OptionalListenAddress,
    OptionalMailAddress,
    PositiveCount,
    PositiveSeconds,
    Seconds,
    Secret,
    Section,
    Share,
    Text,
)
from relay.config.webhooks import post_url, request_headers

SQLITE = "sqlite:///"
"""Prefix of the URL of an SQLite store; the path follows."""

Proxies = Literal["opened", "machine", "apart"]
"""What an open through a proxy counts as: an open, a request of a machine, or neither."""


def spare_cores() -> int:
    """Return one less than the CPU cores this process may use, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


def _this_host(name: str) -> str:
    return name or socket.gethostname().lower()


def _workers(value: object) -> object:
    return spare_cores() if value == "auto" else value


def _tracker_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    seen: set[str] = set()
    for key in keys:
        try:
            name, _ = parse_tracker_key(key.get_secret_value())
        except ValueError as error:
            raise setting_error(str(error), 'such as "k1:<base64 of 32 random octets>"') from None
        if name in seen:
            raise setting_error(f'two keys have the id "{name}"', "an id for each key")
        seen.add(name)
    return keys


def _storage_url(url: str) -> str:
    if not url.startswith((SQLITE, "postgresql://", "postgres://")) or url == SQLITE:
        raise setting_error("is not the URL of a store", '"sqlite:///relay.db" or "postgresql://user@host/name"')
    if not url.startswith(SQLITE) and (fault := postgres_url_fault(url)):
        raise setting_error(fault, "postgresql://user@host/name, and the password in storage.password")
    return url


def parse_nameserver(text: str) -> HostPort:
    """Return IP address and port of "127.0.0.1", "127.0.0.1:5353", "::1" or "[::1]:5353"."""
    try:
        return HostPort(str(ip_address(text.strip("[]"))), 53)
    except ValueError:
        server = parse_host_port(text)
    try:
        ip_address(server.host)
    except ValueError:
        raise setting_error(
            f'"{text}" is not an IP address', '"address" or "address:port", such as "127.0.0.1:5353"'
        ) from None
    return server


def _nameserver(text: str) -> str:
    parse_nameserver(text)
    return text


class Server(Section):
    """`[server]`: host name, data directory, domain of signed identity addresses, event loop, shared ports."""

    hostname: Annotated[OptionalDomain, AfterValidator(_this_host)] = Field(default="", validate_default=True)
    data_dir: DataDir = Path("/var/lib/relay")
    allow_open: Flag = False
    identities_domain: OptionalDomain = ""
    event_loop: Literal["auto", "uvloop", "asyncio"] = "auto"
    reuse_port: Flag = False


class Tracker(Listening):
    """`[tracker]`: the HTTP server of pixels and links. The first of `keys` signs, all of them verify."""

    address: OptionalListenAddress = "127.0.0.1:8025"
    base_url: BaseUrl = Field(
        default_factory=lambda data: f"http://{a}" if (a := data.get("address")) else "", validate_default=True
    )
    keys: Annotated[tuple[SecretStr, ...], FROM_FILE, AfterValidator(_tracker_keys)] = ()
    trusted_proxies: tuple[Network, ...] = ()
    proxy_protocol: Flag = False
    guard: Flag = True


class Engagement(Section):
    """`[engagement]`: how reports count opens through the proxy of a mailbox provider."""

    proxies: Proxies = "opened"


class Queue(Section):
    """`[queue]`: retry schedule and lifetime of messages, and retention of their events."""

    lifetime: PositiveSeconds = 72 * 3600.0
    retry: Annotated[tuple[PositiveSeconds, ...], Field(min_length=1)] = (
        *(60.0, 300.0, 600.0, 1200.0, 2400.0),
        *(3600.0, 7200.0, 14400.0, 21600.0),
    )
    delay_notice: Seconds = 4 * 3600.0
    retention: PositiveSeconds = 90 * 86400.0
    max_send_at: PositiveSeconds = 30 * 86400.0
    nightly_audit: Flag = True


class Storage(Section):
    """`[storage]`: the store of queue and events."""

    url: Annotated[Text, FROM_FILE, AfterValidator(_storage_url)] = "sqlite:///relay.db"
    password: Secret = Field(default=SecretStr(""), examples=["secret"])


class Resolver(Section):
    """`[resolver]`: DNS servers as "address" or "address:port"; empty: those of the system."""

    nameservers: tuple[Annotated[str, AfterValidator(_nameserver)], ...] = ()

    @property
    def endpoints(self) -> tuple[HostPort, ...]:
        """The name servers as IP address and port; the default port is 53."""
        return tuple(parse_nameserver(text) for text in self.nameservers)


class Limits(Section):
    """`[limits]`: default limits of identities, and limits of message size and recipients."""

    identity_hourly: Count = 40
    identity_daily: Count = 200
    identity_daily_ceiling: Count = 250
    unlisted_hourly: Count = 0
    unlisted_daily: Count = 0
    replies_hourly: Count = 20
    replies_daily: Count = 100
    require_identity: Flag = False
    max_message_size: Octets = 25 * 1024 * 1024
    max_recipients: PositiveCount = 1000


class Reputation(Section):
    """`[reputation]`: rates of bounces and complaints at which an identity is paused. A rate of 0 pauses none."""

    window: PositiveSeconds = 86400.0
    bounce_rate: Share = 0.1
    min_bounces: PositiveCount = 10
    complaint_rate: Share = 0.003
    min_complaints: PositiveCount = 3


Workers = Annotated[Count, BeforeValidator(_workers, json_schema_input_type=int | Literal["auto"])]
"""A number of processes, or "auto"."""


class Render(Section):
    """`[render]`: the worker processes that rewrite and sign messages."""

    workers: Annotated[Count, BeforeValidator(_workers, json_schema_input_type=int | Literal["auto"])] = Field(
        default_factory=spare_cores
    )
    timeout: PositiveSeconds = 10.0
    max_memory: Octets = 512 * 1024 * 1024
    when_unavailable: Literal["wait", "send_unmodified"] = "wait"


def _optional_url(value: str) -> str:
    return post_url(value) if value.strip() else ""


class Log(Section):
    """`[log]`: an empty `file` means standard error; a relative name is in the data directory."""

    format: Literal["json", "console", "postfix"] = "json"
    schema_: Literal["relay", "ecs"] = Field(default="relay", alias="schema")
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: Text = ""
    otlp_url: Annotated[str, AfterValidator(_optional_url)] = ""
    otlp_headers: Annotated[dict[str, SecretStr], AfterValidator(request_headers)] = Field(default={})

    @property
    def form(self) -> Literal["json", "console", "postfix", "ecs"]:
        """The form of lines: JSON has two schemas."""
        return "ecs" if self.format == "json" and self.schema_ == "ecs" else self.format


class Alerts(Section):
    """`[alerts]`: recipients and From address of alert mail. `from` defaults to postmaster@ and the hostname."""

    mail_to: tuple[MailAddress, ...] = ()
    mail_from: OptionalMailAddress = Field(default="", alias="from")


class Admin(Listening):
    """`[admin]`: the HTTP API on a Unix socket, and the console on `address`."""

    socket: Text = "admin.sock"
    secret: Secret = Field(default=SecretStr(""), examples=["secret"])


class Metrics(Listening):
    """`[metrics]`: the address of the Prometheus endpoint."""
