"""Sections about who sends: sending domains, identities, credentials, and the defaults of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr

from relay.config.secret_hash import SecretHashError, parse_secret_hash, verify_secret
from relay.config.server import Limits
from relay.config.values import (
    FROM_FILE,
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
    wrong,
)
from relay.mail.canonical import domain_of
from relay.mail.lane import DIRECT

_EXAMPLE_HASH = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


class Tracking(Section):
    """What is rewritten in the mail of a domain."""

    opens: Flag = True
    clicks: Flag = True
    base_url: BaseUrl = ""
    text_links: Flag = False
    skip_sensitive: Flag = True
    skip_visible_urls: Flag = True
    exclude_hosts: tuple[HostPattern, ...] = ()
    pixel: Literal["end", "start"] = "end"

    def with_defaults(self, below: "Tracking") -> "Tracking":
        """Return these switches with those not set here, or an empty base URL, taken from below."""
        update = {key: getattr(self, key) for key in self.model_fields_set}
        return below.model_copy(update={**update, "base_url": self.base_url or below.base_url})

    def settled(self) -> "Tracking":
        """Return what these switches come to: without a base URL nothing can be tracked."""
        return self if self.base_url else self.model_copy(update={"opens": False, "clicks": False})


class Dkim(Section):
    """Where DKIM keys are: `data_dir/dkim/<domain>/<selector>.pem` (RFC 6376). Of one algorithm one key signs."""

    selectors: tuple[DomainName, ...] = ()


class Defaults(Section):
    """`[defaults]`: what holds for every domain that says nothing else."""

    provider: Name = DIRECT
    fallback_providers: tuple[Name, ...] = ()
    tracking: Tracking = Tracking()
    return_path: OptionalDomain = ""
    reply_domain: OptionalDomain = ""
    cname_target: OptionalDomain = ""
    exclusion: Literal["campaign", "global"] = "campaign"
    bcc: tuple[MailAddress, ...] = ()


class Domain(Defaults):
    """`[domains."…"]`: a sending domain."""

    dkim: Dkim = Dkim()

    def with_defaults(self, below: Defaults) -> Self:
        """Return this domain with what it does not set taken from the defaults."""
        inherited = {key: getattr(below, key) for key in Defaults.model_fields if key not in self.model_fields_set}
        return self.model_copy(update={**inherited, "tracking": self.tracking.with_defaults(below.tracking).settled()})


class Identity(Section):
    """`[identities."…"]`: a From address and what it may. A limit of 0 is no limit."""

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
    bcc: tuple[MailAddress, ...] = ()

    def with_defaults(self, domain: Domain, hourly_limit: int, daily_limit: int) -> Self:
        """Return this identity with the limits and copies it does not set taken from these."""
        inherited = {"hourly_limit": hourly_limit, "daily_limit": daily_limit, "bcc": domain.bcc}
        return self.model_copy(update={k: v for k, v in inherited.items() if k not in self.model_fields_set})


@dataclass(frozen=True, slots=True)
class Senders:
    """Defaults, domains and identities with everything they inherit, by the names they have in the settings."""

    defaults: Defaults
    unlisted: Domain
    """What holds for domains without a section of their own."""
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
        """Fill in what they leave out; `base_url` is the tracker's."""
        tracking = defaults.tracking.with_defaults(Tracking(base_url=base_url))
        below = defaults.model_copy(update={"tracking": tracking})
        whole = {name: domain.with_defaults(below) for name, domain in domains.items()}
        settled = below.model_copy(update={"tracking": tracking.settled()})
        unlisted = Domain().with_defaults(settled)

        hourly, daily = limits.identity_hourly, limits.identity_daily
        known = {
            address: identity.with_defaults(whole.get(domain_of(address), unlisted), hourly, daily)
            for address, identity in identities.items()
        }
        return cls(settled, unlisted, whole, known)


class Verification(Section):
    """`[verification]`: which mail only verified identities, or identities of verified domains, may send."""

    campaign: Flag = True
    transactional: Flag = False


def _well_formed(value: SecretStr) -> SecretStr:
    try:
        parse_secret_hash(value.get_secret_value())
    except SecretHashError as error:
        raise wrong(str(error), "what `relay credential new NAME` prints") from None
    return value


class Credential(Section):
    """`[credentials.…]`: a name and the hash of its secret."""

    secret_hash: Annotated[SecretStr, FROM_FILE, AfterValidator(_well_formed)] = Field(examples=[_EXAMPLE_HASH])

    def verify(self, secret: str) -> bool:
        """Tell whether this is the secret, in constant time."""
        return verify_secret(self.secret_hash.get_secret_value(), secret)
