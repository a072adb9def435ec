"""The settings: every key of the configuration with its type and default, frozen.

`relay.config.load` makes them from TOML; `Settings.model_validate({...})` from a dictionary of the same shape.
Durations are seconds (float), sizes octets (int), secrets `SecretStr`. Once validated, domains and identities are
whole: what they leave out has been filled in from `[defaults]` and `[limits]`.
"""

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr, model_validator

from relay.config.section import Listening, Section
from relay.config.senders import Credential, Defaults, Dkim, Domain, Identity, Tracking
from relay.config.tracker_keys import parse_tracker_key
from relay.config.transport import Bounces, Delivery, Imap, Listener, Provider, Smtp, Tls
from relay.config.values import (
    FROM_FILE,
    Amount,
    BaseUrl,
    Count,
    DataDir,
    DomainName,
    Flag,
    HostPort,
    MailAddress,
    Name,
    Octets,
    OptionalDomain,
    OptionalListenAddress,
    Seconds,
    SomeSeconds,
    parse_host_port,
    wrong,
)
from relay.mail.address import domain_of, normal

__all__ = [
    "Admin",
    "Bounces",
    "Credential",
    "Defaults",
    "Delivery",
    "Dkim",
    "Domain",
    "Identity",
    "Imap",
    "Limits",
    "Listener",
    "Log",
    "Metrics",
    "Provider",
    "Queue",
    "Render",
    "Resolver",
    "Section",
    "Server",
    "Settings",
    "Smtp",
    "Storage",
    "Tls",
    "Tracker",
    "Tracking",
]

DIRECT = "direct"
"""The built-in provider: delivery to the MX hosts of the recipient's domain."""

_SQLITE = "sqlite:///"


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
    if not url.startswith((_SQLITE, "postgresql://", "postgres://")) or url == _SQLITE:
        raise wrong("is not the URL of a store", '"sqlite:///relay.db" or "postgresql://user@host/database"')
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


def _no_twins(value: object) -> object:
    """Refuse keys that differ only in case."""
    seen: set[str] = set()
    for key in value if isinstance(value, dict) else ():
        if str(key).lower() in seen:
            raise wrong(f'"{key}" is there twice, written differently', "one table for each, case does not matter")
        seen.add(str(key).lower())
    return value


class Server(Section):
    """`[server]`: who we are and where we keep things."""

    hostname: Annotated[OptionalDomain, AfterValidator(_this_host)] = Field(default="", validate_default=True)
    data_dir: DataDir = Path("/var/lib/relay")
    event_loop: Literal["auto", "uvloop", "asyncio"] = "auto"


class Tracker(Listening):
    """`[tracker]`: the HTTP server behind pixels and links. `keys`: the first signs, all verify."""

    address: OptionalListenAddress = "127.0.0.1:8025"
    base_url: BaseUrl = Field(default_factory=lambda set_: f"http://{a}" if (a := set_.get("address")) else "")
    keys: Annotated[tuple[SecretStr, ...], FROM_FILE, AfterValidator(_tracker_keys)] = ()


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


class Log(Section):
    """`[log]`: `file` empty is standard error; a relative name stands in the data directory."""

    format: Literal["json", "console", "postfix"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = ""


class Admin(Listening):
    """`[admin]`: the HTTP API on a Unix socket, and the dashboard when it has an address."""

    socket: str = "admin.sock"


class Metrics(Listening):
    """`[metrics]`: Prometheus."""


class Settings(Section):
    """Everything. TOML calls `listeners` and `providers` by their singular: `[[listener]]`, `[[provider]]`."""

    server: Server = Field(default_factory=Server)
    listeners: tuple[Listener, ...] = Field(
        default=(Listener(name="submission", address="127.0.0.1:2525"),), alias="listener"
    )
    smtp: Smtp = Smtp()
    tracker: Tracker = Field(default_factory=Tracker)
    queue: Queue = Queue()
    storage: Storage = Storage()
    resolver: Resolver = Resolver()
    delivery: Delivery = Delivery()
    limits: Limits = Limits()
    render: Render = Field(default_factory=Render)
    providers: tuple[Provider, ...] = Field(default=(), alias="provider")
    defaults: Defaults = Defaults()
    domains: Annotated[dict[DomainName, Domain], BeforeValidator(_no_twins)] = Field(default_factory=dict)
    identities: Annotated[
        dict[Annotated[MailAddress, AfterValidator(normal)], Identity], BeforeValidator(_no_twins)
    ] = Field(default_factory=dict)
    credentials: dict[Name, Credential] = Field(default_factory=dict)
    bounces: Bounces = Bounces()
    log: Log = Log()
    admin: Admin = Admin()
    metrics: Metrics = Metrics()

    _unlisted: Domain = PrivateAttr(default_factory=Domain)

    @model_validator(mode="after")
    def _inherit(self) -> Self:
        """Give every domain and identity what it does not say itself, once, so that looking one up is a lookup."""
        tracking = self.defaults.tracking.over(Tracking(base_url=self.tracker.base_url))
        defaults = self.defaults.model_copy(update={"tracking": tracking})
        domains = {name: domain.over(defaults) for name, domain in self.domains.items()}
        self._unlisted = Domain().over(defaults)
        self.__dict__.update(defaults=defaults, domains=domains)
        hourly, daily = self.limits.identity_hourly, self.limits.identity_daily
        self.__dict__["identities"] = {
            address: identity.over(self.domain_for(address), hourly, daily)
            for address, identity in self.identities.items()
        }
        return self

    def domain_for(self, address: str) -> Domain:
        """Return what holds for the domain of this address (or for this bare domain); the defaults when unlisted."""
        return self.domains.get(domain_of(address), self._unlisted)

    def tracking_for(self, domain: str) -> Tracking:
        """Return the tracking switches of a sending domain, `base_url` filled in; both off when there is none."""
        return self.domain_for(domain).tracking

    def identity_for(self, address: str) -> Identity | None:
        """Return the identity of a From address, None when there is no entry for it."""
        return self.identities.get(normal(address))

    def bcc_for(self, address: str) -> tuple[str, ...]:
        """Return who gets a copy of what this From address sends."""
        identity = self.identity_for(address)
        return self.domain_for(address).bcc if identity is None else identity.bcc

    def providers_for(self, address: str) -> tuple[str, ...]:
        """Return the names of the providers to try in order for this From address, the first preferred."""
        identity, domain = self.identity_for(address), self.domain_for(address)
        first = (identity.provider if identity else "") or domain.provider
        return (first, *(name for name in domain.fallback_providers if name != first))

    def provider(self, name: str) -> Provider | None:
        """Return the provider of that name, None for "direct" and unknown names."""
        return next((provider for provider in self.providers if provider.name == name), None)

    @property
    def helo_name(self) -> str:
        """The name we greet other servers with."""
        return self.delivery.helo or self.server.hostname

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, relative names inside the data directory; None for PostgreSQL."""
        url = self.storage.url
        return self.server.data_dir / url.removeprefix(_SQLITE) if url.startswith(_SQLITE) else None

    @property
    def storage_url(self) -> str:
        """The URL of the store with the file's path resolved."""
        return self.storage.url if self.sqlite_path is None else f"{_SQLITE}{self.sqlite_path}"

    @property
    def admin_socket(self) -> Path | None:
        """The Unix socket of the admin API, None when turned off."""
        return self.server.data_dir / self.admin.socket if self.admin.socket else None

    @property
    def log_file(self) -> Path | None:
        """The file log lines go to, None for standard error."""
        return self.server.data_dir / self.log.file if self.log.file else None

    def as_toml_shape(self) -> dict[str, Any]:
        """Return the settings as a dictionary with the keys TOML has; secrets stay `SecretStr`."""
        return self.model_dump(by_alias=True)
