"""DNS records that a sending domain needs. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, assert_never
from urllib.parse import urlsplit

from relay.config.settings import Settings
from relay.mail.canonical_address import domain_of
from relay.mail.lane import DIRECT
from relay.mailauth.dkim_record import key_name

Role = Literal["dkim", "return path", "spf", "dmarc", "tracking", "replies"]

Kind = Literal["CNAME", "TXT", "MX"]

Publisher = Literal["domain", "operator"]

MX_PREFERENCE = 10

DMARC = "v=DMARC1; p=none"
"""The initial policy: it requests nothing, and large mailbox providers require at least this."""

_STRING_OCTETS = 255


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A signing key: its selector and the TXT record that publishes it (`relay.mailauth.dkim_keys.dns_record`)."""

    selector: str
    record: str


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """Settings of a domain that its records depend on. "" means "not set".

    `bounce_domain` is that of `bounces.address`, the reverse-path where there is no return path.

    `selectors` are the configured ones, `keys` those that exist. With `cname_target`, selectors and return path are
    aliases of names below it, in a zone of relay's operator.

    `spf_terms` are the mechanisms of all hosts that send the domain's mail; those of `unknown_providers` are not known.
    `srs_domain` is the domain of SRS reverse-paths of forwarded answers, `srs_terms` are the mechanisms of their hosts.
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
    srs_domain: str = ""
    srs_terms: tuple[str, ...] = ()
    unknown_providers: tuple[str, ...] = ()
    bounce_domain: str = ""

    @property
    def path_domain(self) -> str:
        """The domain of the reverse-path: return path, bounce mailbox, or the domain itself."""
        return self.return_path or self.bounce_domain or self.name

    @property
    def spf(self) -> str:
        """The SPF record of the domain of the reverse-path."""
        return self.spf_at(self.path_domain)

    def spf_at(self, name: str) -> str:
        """Return the SPF record of a name: its hosts, with ~all for others (RFC 7208 section 5.1)."""
        sent = self.spf_terms if name == self.path_domain else ()
        forwarded = self.srs_terms if name == self.srs_domain else ()
        terms = dict.fromkeys((*sent, *forwarded)) or (f"a:{self.hostname}",)
        return " ".join(("v=spf1", *terms, "~all"))

    def owns(self, name: str) -> bool:
        """Whether the name is the domain or below it."""
        return name == self.name or name.endswith("." + self.name)

    def delegates(self, name: str) -> bool:
        """Whether the name is an alias of one below `cname_target`: it must be below the domain."""
        return bool(self.cname_target) and name != self.name and self.owns(name)

    def target(self, name: str) -> str:
        """Return the target of a delegated name: the same name below `cname_target`."""
        return f"{name}.{self.cname_target}"


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """One record. `publisher` is the owner of its zone: the domain's or relay's operator."""

    name: str
    kind: Kind
    value: str
    role: Role
    purpose: str
    publisher: Publisher = "domain"

    @property
    def zone_line(self) -> str:
        """The record as a zone file line (RFC 1035 section 5.1), text in strings of at most 255 octets."""
        match self.kind:
            case "TXT":
                pieces = [self.value[at : at + _STRING_OCTETS] for at in range(0, len(self.value), _STRING_OCTETS)]
                value = " ".join('"' + piece.replace("\\", r"\\").replace('"', r"\"") + '"' for piece in pieces)
            case "MX" | "CNAME":
                value = f"{self.value}."
            case _:
                assert_never(self.kind)
        return f"{self.name}. IN {self.kind} {value}"


def sending_domain(
    settings: Settings,
    name: str,
    keys: Sequence[DkimKey],
    *,
    cname_target: str = "",
) -> SendingDomain:
    """Create the SendingDomain of a lower-case name from the settings.

    `cname_target`, if given, replaces the configured one.
    """
    domain = settings.domain_for(name)
    providers = settings.all_providers_for(name)
    hostname = settings.server.hostname
    forwarding = _providers_of_forwards(settings, name)
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
        spf_terms=_terms(known, providers),
        srs_domain=settings.srs_domain(name, name) if forwarding else "",
        srs_terms=_terms(known, forwarding),
        bounce_domain=domain_of(settings.bounces.address),
        unknown_providers=tuple(one for one in dict.fromkeys((*providers, *forwarding)) if one not in known),
    )


def _terms(known: Mapping[str, str], providers: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(term for provider in providers for term in known.get(provider, "").split()))


def _providers_of_forwards(settings: Settings, name: str) -> tuple[str, ...]:
    """Return the providers that forward answers to mail of the domain; none if this relay receives no answers."""
    readers = (one for address, one in settings.identities.items() if domain_of(address) == name)
    if not settings.takes_inbound:
        return ()
    if not (settings.domain_for(name).reply_domain or any(one.forward_to for one in readers)):
        return ()
    return (settings.defaults.provider, *settings.defaults.fallback_providers)


def records(domain: SendingDomain) -> tuple[WantedRecord, ...]:
    """Return the records of a sending domain, those in its own zone before those of the operator."""
    wanted = [*_dkim(domain), *_return_path(domain), _dmarc(domain), *_tracking(domain), *_replies(domain)]
    return tuple(sorted(dict.fromkeys(wanted), key=lambda record: record.publisher != "domain"))


def remarks(domain: SendingDomain) -> Iterator[tuple[Role, str]]:
    """Yield missing and doubtful settings, each with its remedy."""
    yield from _key_remarks(domain)
    yield from _return_path_remarks(domain)
    for provider in domain.unknown_providers:
        text = (
            f'mail leaves by the provider "{provider}" too: set spf of the provider to what it asks for ("include:…")'
        )
        yield "spf", text
    if domain.reply_domain == domain.name:
        text = f"the reply domain is {domain.name} itself, so the relay takes all its mail: set one below it"
        yield "replies", text
    yield from _tracking_remarks(domain)


def _key_remarks(domain: SendingDomain) -> Iterator[tuple[Role, str]]:
    if not domain.selectors:
        command = f"relay dkim new {domain.name} --selector s1"
        yield "dkim", f'mail is not signed: make a key with "{command}" and set dkim.selectors = ["s1", "s2"]'
    elif not domain.keys:
        command = f"relay dkim new {domain.name} --selector {domain.selectors[0]}"
        yield "dkim", f'mail is not signed: there is no key yet, "{command}" makes one'
    if len(domain.selectors) == 1:
        yield "dkim", "there is one selector: with a second one keys can be changed without a gap"


def _return_path_remarks(domain: SendingDomain) -> Iterator[tuple[Role, str]]:
    if not domain.return_path and not domain.bounce_domain:
        text = f'bounces do not come back to the relay: set return_path = "bounces.{domain.name}"'
        yield "return path", text
    elif domain.return_path == domain.name:
        text = (
            f"the return path is {domain.name} itself, so the relay takes all its mail: "
            f'set return_path = "bounces.{domain.name}"'
        )
        yield "return path", text
    if domain.return_path and domain.return_path == domain.tracking_host:
        yield "tracking", f"return path and tracking share {domain.return_path}: give each a name of its own"


def _tracking_remarks(domain: SendingDomain) -> Iterator[tuple[Role, str]]:
    host = domain.tracking_host
    if not host:
        yield "tracking", f'nothing is tracked: set tracking.base_url = "https://t.{domain.name}"'
    elif _is_local(host):
        yield "tracking", f'no reader can reach {host}: set tracking.base_url = "https://t.{domain.name}"'
    elif host == domain.name:
        yield "tracking", f"{host} cannot be an alias: give it A and AAAA records with the addresses of the tracker"


def _dkim(domain: SendingDomain) -> Iterator[WantedRecord]:
    published = {key.selector: key.record for key in domain.keys}
    for selector in domain.selectors:
        name = key_name(selector, domain.name)
        text = published.get(selector)
        if domain.delegates(name):
            purpose = "lets the operator of the relay publish and change the DKIM key"
            yield WantedRecord(name, "CNAME", domain.target(name), "dkim", purpose)
            if text:
                purpose = f"the key that proves mail signed with {selector} to be of {domain.name}"
                yield WantedRecord(domain.target(name), "TXT", text, "dkim", purpose, "operator")
        elif text:
            purpose = f"the key that proves mail signed with {selector} to be of {domain.name}"
            yield WantedRecord(name, "TXT", text, "dkim", purpose)


def _return_path(domain: SendingDomain) -> Iterator[WantedRecord]:
    name = domain.return_path
    if not name:
        purpose = "says which servers may send for the domain; merge it with the SPF record that is there"
        publisher: Publisher = "domain" if domain.owns(domain.path_domain) else "operator"
        yield WantedRecord(domain.path_domain, "TXT", domain.spf, "spf", purpose, publisher)
        return
    if domain.delegates(name):
        purpose = "lets bounces come back and SPF pass, both as the operator of the relay publishes them"
        yield WantedRecord(name, "CNAME", domain.target(name), "return path", purpose)

    published_at, publisher = _published_at(domain, name)
    purpose = "brings bounces back to the relay"
    yield WantedRecord(published_at, "MX", _mx(domain), "return path", purpose, publisher)
    purpose = "says that the relay may send with this return path"
    yield WantedRecord(published_at, "TXT", domain.spf, "spf", purpose, publisher)


def _dmarc(domain: SendingDomain) -> WantedRecord:
    purpose = "the policy of receivers for mail that is not proven yours; large mailbox providers want it"
    return WantedRecord(f"_dmarc.{domain.name}", "TXT", DMARC, "dmarc", purpose)


def _tracking(domain: SendingDomain) -> Iterator[WantedRecord]:
    host = domain.tracking_host
    if not _is_local(host) and host not in (domain.name, domain.hostname, domain.return_path):
        publisher: Publisher = "domain" if domain.owns(host) else "operator"
        purpose = "leads opens and clicks to the tracker; point it at the web proxy in front, where there is one"
        yield WantedRecord(host, "CNAME", domain.hostname, "tracking", purpose, publisher)


def _replies(domain: SendingDomain) -> Iterator[WantedRecord]:
    name = domain.reply_domain
    if name and name != domain.return_path:
        publisher: Publisher = "domain" if domain.owns(name) else "operator"
        yield WantedRecord(name, "MX", _mx(domain), "replies", "brings tracked replies to the relay", publisher)
        if name == domain.srs_domain:
            purpose = "says that the relay may forward replies with this reverse-path"
            yield WantedRecord(name, "TXT", domain.spf_at(name), "spf", purpose, publisher)


def _published_at(domain: SendingDomain, name: str) -> tuple[str, Publisher]:
    """Return the name at which the records of a name are published, and by whom."""
    if domain.delegates(name):
        return domain.target(name), "operator"
    return name, "domain" if domain.owns(name) else "operator"


def _mx(domain: SendingDomain) -> str:
    return f"{MX_PREFERENCE} {domain.hostname}"


def _is_local(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local"))
