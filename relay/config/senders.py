"""Sections of senders: domains, identities, and the defaults that domains and identities inherit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from relay.config.sandbox import Sandbox
from relay.config.server import Limits
from relay.config.values import (
    BaseUrl,
    Count,
    DomainName,
    Flag,
    HostPattern,
    MailAddress,
    Name,
    OptionalDomain,
    OptionalMailAddress,
    OptionalName,
    PersonName,
    Section,
)
from relay.mail.canonical_address import domain_of
from relay.mail.lane import DIRECT

UnsubscribeScope = Literal["campaign", "domain", "global"]
"""What an unsubscribe excludes from: its campaign, all campaigns of its sending domain, or all of this relay."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The scope of unsubscribes by sending domain (`exclusion`)."""

    by_domain: Mapping[str, UnsubscribeScope] = field(default_factory=dict)
    unlisted: UnsubscribeScope = "campaign"
    """Scope for domains without a section of their own."""

    def of(self, domain: str) -> UnsubscribeScope:
        """Return the scope of unsubscribes from that domain."""
        return self.by_domain.get(domain, self.unlisted)


class Tracking(Section):
    """`[domains."…".tracking]`: which parts of the mail of a domain are rewritten."""

    opens: Flag = True
    clicks: Flag = True
    base_url: BaseUrl = ""
    text_links: Flag = False
    skip_sensitive: Flag = True
    skip_visible_urls: Flag = True
    skip_unsubscribe: Flag = True
    exclude_hosts: tuple[HostPattern, ...] = ()
    pixel: Literal["end", "start"] = "end"

    def with_defaults(self, defaults: "Tracking") -> "Tracking":
        """Return these switches, with unset ones and an empty base URL taken from the defaults."""
        update = {key: getattr(self, key) for key in self.model_fields_set}
        return defaults.model_copy(update={**update, "base_url": self.base_url or defaults.base_url})

    def effective(self) -> "Tracking":
        """Return the switches in effect: without a base URL, opens and clicks are off."""
        return self if self.base_url else self.model_copy(update={"opens": False, "clicks": False})


class Dkim(Section):
    """`[domains."…".dkim]`: selectors (RFC 6376) of the keys in `data_dir/dkim/<domain>/<selector>.pem`.

    One key of each algorithm signs.
    """

    selectors: tuple[DomainName, ...] = ()


class Defaults(Section):
    """`[defaults]`: values for domains that do not set their own."""

    provider: Name = DIRECT
    fallback_providers: tuple[Name, ...] = ()
    campaign_provider: OptionalName = ""
    campaign_fallback_providers: tuple[Name, ...] = ()
    tracking: Tracking = Tracking()
    return_path: OptionalDomain = ""
    reply_domain: OptionalDomain = ""
    cname_target: OptionalDomain = ""
    exclusion: UnsubscribeScope = "campaign"
    bcc: tuple[MailAddress, ...] = ()
    sandbox: Sandbox = False


class Domain(Defaults):
    """`[domains."…"]`: a sending domain."""

    dkim: Dkim = Dkim()

    def with_defaults(self, defaults: Defaults) -> Self:
        """Return this domain with unset values taken from the defaults."""
        inherited = {key: getattr(defaults, key) for key in Defaults.model_fields if key not in self.model_fields_set}
        tracking = self.tracking.with_defaults(defaults.tracking).effective()
        return self.model_copy(update={**inherited, "tracking": tracking})


class Identity(Section):
    """`[identities."…"]`: a From address with its limits, names and reply handling. A limit of 0 means no limit."""

    display_name: PersonName = ""
    company: PersonName = ""
    credentials: tuple[Name, ...] = ()
    hourly_limit: Count = 40
    daily_limit: Count = 200
    provider: OptionalName = ""
    reply_to: OptionalMailAddress = ""
    reply_tracking: Flag = False
    forward_to: tuple[MailAddress, ...] = ()
    forward_auto_replies: Flag = False
    forward_spam: Flag = False
    cc_forward: Flag = False
    bcc: tuple[MailAddress, ...] = ()
    sandbox: Sandbox = False

    @property
    def tracks_replies(self) -> bool:
        """True if replies go to signed addresses: configured, or implied by `forward_to` and not turned off."""
        return self.reply_tracking or (bool(self.forward_to) and "reply_tracking" not in self.model_fields_set)

    def with_defaults(self, domain: Domain, hourly_limit: int, daily_limit: int) -> Self:
        """Return this identity with unset limits taken from the arguments, and unset BCC addresses from the domain."""
        inherited = {"hourly_limit": hourly_limit, "daily_limit": daily_limit, "bcc": domain.bcc}
        return self.model_copy(update={k: v for k, v in inherited.items() if k not in self.model_fields_set})


@dataclass(frozen=True, slots=True)
class Senders:
    """Defaults, domains and identities with inherited values filled in, keyed as in the settings."""

    defaults: Defaults
    unlisted: Domain
    """Values for domains without a section of their own."""
    domains: Mapping[str, Domain]
    identities: Mapping[str, Identity]

    @classmethod
    def of(
        cls,
        defaults: Defaults,
        domains: Mapping[str, Domain],
        identities: Mapping[str, Identity],
        base_url: str,
        limits: Limits,
    ) -> "Senders":
        """Fill in unset values; `base_url` is that of the tracker."""
        tracking = defaults.tracking.with_defaults(Tracking(base_url=base_url))
        inherited = defaults.model_copy(update={"tracking": tracking})
        full_domains = {name: domain.with_defaults(inherited) for name, domain in domains.items()}
        effective = inherited.model_copy(update={"tracking": tracking.effective()})
        unlisted = Domain().with_defaults(effective)

        hourly, daily = limits.identity_hourly, limits.identity_daily
        full_identities = {
            address: identity.with_defaults(full_domains.get(domain_of(address), unlisted), hourly, daily)
            for address, identity in identities.items()
        }
        return cls(effective, unlisted, full_domains, full_identities)


class Verification(Section):
    """`[verification]`: the kinds of mail for which the identity or its domain must be verified; the page for it."""

    campaign: Flag = True
    transactional: Flag = False
    page: Flag = True
