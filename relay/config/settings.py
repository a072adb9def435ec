"""The settings: every key of the configuration with its type and default, frozen.

`relay.config.load` reads them from TOML, `Settings.model_validate({...})` from a dictionary of the same shape.
Durations are seconds (float), sizes octets (int), secrets `SecretStr`. Fields hold the values of the file.
`Settings.senders` has domains and identities with unset values taken from `[defaults]` and `[limits]`.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field

from relay.config.compat import Compat
from relay.config.connections import Bounces, Delivery, Imap, Listener, Provider, Smtp, Spam, Tls
from relay.config.console import Console
from relay.config.credentials import Cost, Credential, Scope, most_hashes
from relay.config.sandbox import DeliverTo, SimulatorSettings, strictest
from relay.config.secret_hash import SecretHash
from relay.config.senders import Defaults, Dkim, Domain, Exclusions, Identity, Senders, Tracking, Verification
from relay.config.server import (
    SQLITE,
    Admin,
    Alerts,
    Engagement,
    Limits,
    Log,
    Metrics,
    Queue,
    Render,
    Reputation,
    Resolver,
    Server,
    Storage,
    Tracker,
)
from relay.config.sites import SiteProfile, SiteProfiles, merge_sites, shipped_sites
from relay.config.values import DomainName, MailAddress, Name, Section, reject_duplicates
from relay.config.webhooks import Api, Webhook
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.domain_name import organisation
from relay.mail.lane import DIRECT

__all__ = [
    "Admin",
    "Alerts",
    "Api",
    "Bounces",
    "Compat",
    "Console",
    "Credential",
    "Defaults",
    "Delivery",
    "Dkim",
    "Domain",
    "Engagement",
    "Identity",
    "Imap",
    "Limits",
    "Listener",
    "Log",
    "Metrics",
    "Provider",
    "Queue",
    "Render",
    "Reputation",
    "Resolver",
    "Section",
    "Server",
    "Settings",
    "SiteProfile",
    "Smtp",
    "Spam",
    "Storage",
    "Tls",
    "Tracker",
    "Tracking",
    "Verification",
    "Webhook",
]


class Settings(Section):
    """All settings. In TOML arrays are singular: `[[listener]]`, `[[provider]]`, `[[site]]`, `[[webhook]]`."""

    server: Server = Field(default_factory=Server)
    listeners: tuple[Listener, ...] = Field(
        default=(Listener(name="submission", address="127.0.0.1:2525"),), alias="listener"
    )
    smtp: Smtp = Smtp()
    tracker: Tracker = Field(default_factory=Tracker)
    engagement: Engagement = Engagement()
    queue: Queue = Queue()
    storage: Storage = Storage()
    resolver: Resolver = Resolver()
    delivery: Delivery = Delivery()
    limits: Limits = Limits()
    reputation: Reputation = Reputation()
    render: Render = Field(default_factory=Render)
    providers: tuple[Provider, ...] = Field(default=(), alias="provider")
    sites: tuple[SiteProfile, ...] = Field(default=(), alias="site")
    defaults: Defaults = Defaults()
    domains: Annotated[dict[DomainName, Domain], BeforeValidator(reject_duplicates)] = Field(default_factory=dict)
    identities: Annotated[
        dict[Annotated[MailAddress, AfterValidator(canonical)], Identity], BeforeValidator(reject_duplicates)
    ] = Field(default_factory=dict)
    credentials: dict[Name, Credential] = Field(default_factory=dict)
    compat: Compat = Compat()
    simulator: SimulatorSettings = SimulatorSettings()
    verification: Verification = Verification()
    bounces: Bounces = Bounces()
    spam: Spam = Spam()
    log: Log = Log()
    alerts: Alerts = Alerts()
    webhooks: tuple[Webhook, ...] = Field(default=(), alias="webhook")
    api: Api = Api()
    admin: Admin = Admin()
    console: Console = Field(default_factory=Console)
    metrics: Metrics = Metrics()

    any_login: ClassVar[str] = ""
    """Credential of every login, whatever name and secret are; "" where a secret must be right."""
    signs_for_all: ClassVar[bool] = False
    """Whether mail of every domain is signed, with one key."""

    @cached_property
    def senders(self) -> Senders:
        """Defaults, domains and identities with inherited values filled in."""
        return Senders.of(self.defaults, self.domains, self.identities, self.tracker.base_url, self.limits)

    @cached_property
    def exclusions(self) -> Exclusions:
        """The scope of unsubscribes by sending domain."""
        senders = self.senders
        return Exclusions({name: one.exclusion for name, one in senders.domains.items()}, senders.unlisted.exclusion)

    @cached_property
    def site_profiles(self) -> SiteProfiles:
        """The profiles of sites: those of the configuration, merged over the shipped ones."""
        return SiteProfiles.of(merge_sites(self.sites, shipped_sites()))

    def resolved(self) -> Self:
        """Return these settings with the inherited values of domains and identities filled in."""
        senders = self.senders
        update = {"defaults": senders.defaults, "domains": senders.domains, "identities": senders.identities}
        return self.model_copy(update=update)

    def domain_for(self, address: str) -> Domain:
        """Return the settings of an address's domain or of a bare domain; the defaults if it has no section."""
        return self.senders.domains.get(domain_of(address)) or self.senders.unlisted

    def tracking_for(self, domain: str) -> Tracking:
        """Return the tracking switches of a sending domain. Without a base URL opens and clicks are off."""
        return self.domain_for(domain).tracking

    def base_url_for(self, address: str) -> str:
        """Return the URL prefix of the pages for this address, "" if there is none; links need not be tracked."""
        return self.tracking_for(address).base_url or self.tracker.base_url

    def verification_page(self, address: str) -> str:
        """Return the URL of the page that verifies this address, "" if there is none."""
        base_url = self.base_url_for(address) if self.verification.page else ""
        return f"{base_url}/verify" if base_url else ""

    def identity_for(self, address: str) -> Identity | None:
        """Return the identity of a From address, None if it has no section."""
        return self.senders.identities.get(canonical(address))

    def is_restricted(self, credential: str) -> bool:
        """Return True if identities name this credential: it may send as these identities only."""
        return credential in self._restricted

    def domains_of(self, credential: str) -> tuple[str, ...]:
        """Return the sending domains to which a credential is restricted, none if it is not."""
        found = self.credentials.get(credential)
        return found.domains if found else ()

    def has_scope(self, credential: str, scope: Scope) -> bool:
        """Return True if there is this credential, and it may do that."""
        found = self.credentials.get(credential)
        return found is not None and scope in found.scopes

    @cached_property
    def _restricted(self) -> frozenset[str]:
        """Names of the credentials that identities name."""
        return frozenset(name for identity in self.identities.values() for name in identity.credentials)

    @cached_property
    def hashes_by_cost(self) -> Mapping[Cost, tuple[int, SecretHash]]:
        """The most hashes of each cost that one credential has, and one of that cost."""
        return most_hashes(self.credentials.values())

    @property
    def takes_inbound(self) -> bool:
        """True if there is a listener of kind "inbound"."""
        return any(listener.kind == "inbound" for listener in self.listeners)

    @cached_property
    def return_domains(self) -> frozenset[str]:
        """The domains of signed addresses, in lower case."""
        sections = (self.defaults, *self.domains.values())
        names = (name.lower() for section in sections for name in (section.return_path, section.reply_domain))
        return frozenset(name for name in names if name)

    @cached_property
    def mailbox_domains(self) -> frozenset[str]:
        """Domains of identities, sending domains and the host: mail to them is accepted if their MX is this relay."""
        return frozenset((*map(domain_of, self.identities), *self.domains, self.server.hostname))

    @cached_property
    def organisations(self) -> frozenset[str]:
        """The organisations of all domains of this relay."""
        return frozenset(map(organisation, self.mailbox_domains | self.return_domains)) - {""}

    def srs_domain(self, sender: str, address: str) -> str:
        """Return the domain of the reverse-path of forwarded mail that was sent to an address of this sender.

        It is its `return_path`, unless that is read by IMAP; else its `reply_domain`; else the domain of the address.
        """
        domain = self.domain_for(sender)
        return ("" if self.bounces.imap else domain.return_path) or domain.reply_domain or domain_of(address)

    def bcc_for(self, address: str) -> tuple[str, ...]:
        """Return the addresses that get a copy of mail from this From address."""
        identity = self.identity_for(address)
        return self.domain_for(address).bcc if identity is None else identity.bcc

    def sandbox_for(self, address: str) -> bool | DeliverTo:
        """Return the sandbox of a From address, by its identity and its domain."""
        identity = self.identity_for(address)
        return strictest((identity.sandbox if identity else False, self.domain_for(address).sandbox))

    def providers_for(self, address: str, *, campaign: bool = False) -> tuple[str, ...]:
        """Return the provider of a From address and its fallbacks, in order of preference.

        Campaign mail has those of its own where the domain has a `campaign_provider`, also for an identity with a
        provider. They share no fallbacks: the other providers are kept for transactional mail.
        """
        identity, domain = self.identity_for(address), self.domain_for(address)
        first = (identity.provider if identity else "") or domain.provider
        fallbacks = domain.fallback_providers
        if campaign and domain.campaign_provider:
            first, fallbacks = domain.campaign_provider, domain.campaign_fallback_providers
        return (first, *(name for name in fallbacks if name != first))

    def all_providers_for(self, address: str) -> tuple[str, ...]:
        """Return the providers of a From address for transactional and for campaign mail."""
        return tuple(dict.fromkeys((*self.providers_for(address), *self.providers_for(address, campaign=True))))

    def providers_allowed(self, credential: str, address: str) -> tuple[str, ...]:
        """Return the providers that X-Relay-Provider can select for mail from this address.

        A credential may use those of the identity and domain for either kind of mail, and its own `providers`. A client
        without a credential is trusted by its network, and may use all.
        """
        if not credential:
            return (DIRECT, *(provider.name for provider in self.providers))
        found = self.credentials.get(credential)
        return tuple(dict.fromkeys((*self.all_providers_for(address), *(found.providers if found else ()))))

    def provider(self, name: str) -> Provider | None:
        """Return the provider with this name, None for "direct" and unknown names."""
        return self._providers.get(name)

    @cached_property
    def _providers(self) -> Mapping[str, Provider]:
        """The providers by name; of two with one name, which the checks refuse, the first."""
        return {provider.name: provider for provider in reversed(self.providers)}

    @property
    def helo_name(self) -> str:
        """The name for EHLO and HELO in delivery."""
        return self.delivery.helo or self.server.hostname

    @property
    def sqlite_path(self) -> Path | None:
        """The database file; a relative name is in the data directory. None for PostgreSQL."""
        url = self.storage.url
        return self.server.data_dir / url.removeprefix(SQLITE) if url.startswith(SQLITE) else None

    @property
    def log_file(self) -> Path | None:
        """The log file, None for standard error."""
        return self.server.data_dir / self.log.file if self.log.file else None

    def as_toml_shape(self) -> dict[str, Any]:
        """Return the settings as a dictionary with TOML keys; secrets stay `SecretStr`."""
        return self.model_dump(by_alias=True)
