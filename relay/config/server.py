"""Sections about the running of the server: itself, its HTTP ports, queue, store, names, limits, log."""

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from relay.config.values import (
    FROM_FILE,
    Amount,
    BaseUrl,
    Count,
    DataDir,
    Flag,
    HostPort,
    Listening,
    MailAddress,
    Network,
    Octets,
    OptionalDomain,
    OptionalListenAddress,
    OptionalMailAddress,
    Seconds,
    Secret,
    Section,
    SomeSeconds,
    parse_host_port,
    parse_tracker_key,
    wrong,
)

SQLITE = "sqlite:///"
"""How the URL of an SQLite store begins; the path follows."""


def spare_cores() -> int:
    """Return the cores this process may use less one, at least 1."""
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
            raise wrong(str(error), 'such as "k1:<base64 of 32 random octets>"') from None
        if name in seen:
            raise wrong(f'two keys have the id "{name}"', "an id for each key")
        seen.add(name)
    return keys


def _storage_url(url: str) -> str:
    if not url.startswith((SQLITE, "postgresql://", "postgres://")) or url == SQLITE:
        raise wrong("is not the URL of a store", '"sqlite:///relay.db"')
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
        raise wrong(f'"{text}" is not an IP address', '"address" or "address:port", such as "127.0.0.1:5353"') from None
    return server


def _nameserver(text: str) -> str:
    parse_nameserver(text)
    return text


class Server(Section):
    """`[server]`: who we are and where we keep things."""

    hostname: Annotated[OptionalDomain, AfterValidator(_this_host)] = Field(default="", validate_default=True)
    data_dir: DataDir = Path("/var/lib/relay")
    identities_domain: OptionalDomain = ""
    event_loop: Literal["auto", "uvloop", "asyncio"] = "auto"


class Tracker(Listening):
    """`[tracker]`: the HTTP server behind pixels and links. `keys`: the first signs, all verify."""

    address: OptionalListenAddress = "127.0.0.1:8025"
    base_url: BaseUrl = Field(default_factory=lambda set_: f"http://{a}" if (a := set_.get("address")) else "")
    keys: Annotated[tuple[SecretStr, ...], FROM_FILE, AfterValidator(_tracker_keys)] = ()
    trusted_proxies: tuple[Network, ...] = ()
    guard: Flag = True


class Queue(Section):
    """`[queue]`: how long and how often a message is tried, and how long its story is kept."""

    lifetime: SomeSeconds = 72 * 3600.0
    retry: Annotated[tuple[SomeSeconds, ...], Field(min_length=1)] = (
        *(60.0, 300.0, 600.0, 1200.0, 2400.0),
        *(3600.0, 7200.0, 14400.0, 21600.0),
    )
    delay_notice: Seconds = 4 * 3600.0
    retention: SomeSeconds = 90 * 86400.0


class Storage(Section):
    """`[storage]`: where the queue and the events are kept. See `Settings.storage_url` for the resolved URL."""

    url: Annotated[str, FROM_FILE, AfterValidator(_storage_url)] = "sqlite:///relay.db"
    password: Secret = Field(default=SecretStr(""), examples=["secret"])


class Resolver(Section):
    """`[resolver]`: DNS servers "address" or "address:port"; none: the system's."""

    nameservers: tuple[Annotated[str, AfterValidator(_nameserver)], ...] = ()

    @property
    def endpoints(self) -> tuple[HostPort, ...]:
        """The name servers as IP address and port, 53 when none is written."""
        return tuple(parse_nameserver(text) for text in self.nameservers)


class Limits(Section):
    """`[limits]`: how much may be sent. See `Identity` for the limits of one identity."""

    identity_hourly: Count = 40
    identity_daily: Count = 200
    identity_daily_ceiling: Count = 250
    unlisted_hourly: Count = 0
    unlisted_daily: Count = 0
    require_identity: Flag = False
    max_message_size: Octets = 25 * 1024 * 1024
    max_recipients: Amount = 1000


class Render(Section):
    """`[render]`: the processes that rewrite and sign."""

    workers: Annotated[Count, BeforeValidator(_workers)] = Field(default_factory=spare_cores)
    timeout: SomeSeconds = 10.0
    max_memory: Octets = 512 * 1024 * 1024
    when_unavailable: Literal["wait", "send_unmodified"] = "wait"


class Log(Section):
    """`[log]`: `file` empty is standard error; a relative name stands in the data directory."""

    format: Literal["json", "console", "postfix"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = ""


class Alerts(Section):
    """`[alerts]`: who is told by mail of what a person has to look at. `from` empty: postmaster@ and the hostname."""

    mail_to: tuple[MailAddress, ...] = ()
    mail_from: OptionalMailAddress = Field(default="", alias="from")


class Admin(Listening):
    """`[admin]`: the HTTP API on a Unix socket, and the dashboard when it has an address."""

    socket: str = "admin.sock"
    secret: Secret = Field(default=SecretStr(""), examples=["secret"])


class Metrics(Listening):
    """`[metrics]`: Prometheus."""
