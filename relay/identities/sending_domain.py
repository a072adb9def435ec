"""A sending domain as DNS is concerned: its names, its keys, and which hosts its mail leaves from."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.config.settings import Settings
from relay.mail.lane import DIRECT


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A signing key by its selector and the TXT record that publishes it (`relay.sign.keys.dns_record`)."""

    selector: str
    record: str


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """What decides about the records of a domain. "" stands for "not set" everywhere.

    `selectors` are those configured, `keys` those of them whose key exists. With `cname_target`, a domain whose zone
    the operator of the relay serves, selectors and return path are aliases of names below it. `spf_terms` are the
    mechanisms that cover the hosts the domain's mail leaves from; of `unknown_providers` they are not known.
    """

    name: str
    hostname: str
    selectors: tuple[str, ...] = ()
    keys: tuple[DkimKey, ...] = ()
    return_path: str = ""
    reply_domain: str = ""
    tracking_host: str = ""
    cname_target: str = ""
    spf_terms: tuple[str, ...] = ()
    unknown_providers: tuple[str, ...] = ()

    @property
    def spf(self) -> str:
        """The SPF record that names these hosts and advises against others (RFC 7208 section 5.1: ~all)."""
        return " ".join(("v=spf1", *(self.spf_terms or (f"a:{self.hostname}",)), "~all"))

    def owns(self, name: str) -> bool:
        """Tell whether the name is the domain or lies below it."""
        return name == self.name or name.endswith("." + self.name)

    def delegates(self, name: str) -> bool:
        """Tell whether the name can be an alias of one below `cname_target`: it lies below the domain."""
        return bool(self.cname_target) and name != self.name and self.owns(name)

    def target(self, name: str) -> str:
        """Return what a delegated name is an alias of: the same name below `cname_target`."""
        return f"{name}.{self.cname_target}"


def sending_domain(
    settings: Settings,
    name: str,
    keys: Sequence[DkimKey],
    *,
    cname_target: str = "",
) -> SendingDomain:
    """Return what the settings say of a domain, by its lower-case name.

    `cname_target`, when given, is taken in place of the configured one.
    """
    domain = settings.domain_for(name)
    providers = settings.providers_for(name)
    hostname = settings.server.hostname
    known = {DIRECT: f"a:{hostname}", **{one.name: one.spf for one in settings.providers if one.spf}}
    return SendingDomain(
        name=name,
        hostname=hostname,
        selectors=domain.dkim.selectors,
        keys=tuple(keys),
        return_path=domain.return_path,
        reply_domain=domain.reply_domain,
        tracking_host=urlsplit(domain.tracking.base_url).hostname or "",
        cname_target=cname_target or domain.cname_target,
        spf_terms=tuple(dict.fromkeys(term for name in providers for term in known.get(name, "").split())),
        unknown_providers=tuple(provider for provider in providers if provider not in known),
    )
