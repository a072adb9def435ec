"""DMARC: finds and parses policies, and checks alignment (RFC 7489)."""

from dataclasses import dataclass
from typing import Literal, assert_never

from relay.mail.domain_name import registrable
from relay.mailauth.dkim_record import tags_of
from relay.resolver import Lookups, NoRecords, NoSuchDomain, TemporaryFailure, Texts

Policy = Literal["none", "quarantine", "reject"]

Alignment = Literal["relaxed", "strict"]

_POLICIES: dict[str, Policy] = {"none": "none", "quarantine": "quarantine", "reject": "reject"}

_ALIGNMENTS: dict[str, Alignment] = {"r": "relaxed", "s": "strict"}


class DmarcSyntaxError(ValueError):
    """The record is invalid by RFC 7489 section 6.6.3, so receivers ignore it; the message says why."""


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A DMARC record: policies, alignment of DKIM and SPF, percentage of mail, report addresses."""

    policy: Policy
    subdomain_policy: Policy
    dkim_alignment: Alignment = "relaxed"
    spf_alignment: Alignment = "relaxed"
    percent: int = 100
    reports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundPolicy:
    """The record that applies to a domain, and the domain that publishes it; `policy` is the one to apply."""

    record: DmarcRecord
    publisher: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class NoPolicy:
    """No record applies to the domain, with the reason as a sentence; `broken` if a record is invalid."""

    why: str
    broken: bool = False


Discovery = FoundPolicy | NoPolicy | TemporaryFailure


def parse_dmarc(text: str) -> DmarcRecord:
    """Parse a record; unknown tags are ignored and invalid values replaced by defaults (sections 6.3 and 6.6.3)."""
    if not is_dmarc(text):
        raise DmarcSyntaxError("it does not begin with v=DMARC1;")

    tags = {name.lower(): value for name, value in tags_of(text).items()}
    reports = tuple(uri.strip() for uri in tags.get("rua", "").split(",") if uri.strip())
    policy = _POLICIES.get(tags.get("p", "").lower())
    subdomains = _POLICIES.get(tags["sp"].lower()) if "sp" in tags else policy
    if policy is None or subdomains is None:
        if not reports:
            wrong = "p=" if policy is None else "sp="
            raise DmarcSyntaxError(f"its {wrong} is not one of none, quarantine and reject")
        policy = subdomains = "none"

    percent = tags.get("pct", "100")
    return DmarcRecord(
        policy,
        subdomains,
        _ALIGNMENTS.get(tags.get("adkim", "r").lower(), "relaxed"),
        _ALIGNMENTS.get(tags.get("aspf", "r").lower(), "relaxed"),
        min(int(percent), 100) if percent.isascii() and percent.isdigit() else 100,
        reports,
    )


def is_dmarc(text: str) -> bool:
    """Whether a TXT record is a DMARC record."""
    version, _, _ = text.partition(";")
    return "".join(version.split()) == "v=DMARC1"


def aligned(name: str, from_domain: str, alignment: Alignment) -> bool:
    """Whether a name that passed SPF or DKIM is aligned with the domain of From (section 3.1)."""
    if alignment == "strict":
        return name.lower() == from_domain.lower()
    return bool(name) and registrable(name) == registrable(from_domain)


async def discover(dns: Lookups, domain: str) -> Discovery:
    """Find the policy of a From domain: its own, else that of the organisational domain (section 6.6.3)."""
    own = await _published(dns, domain)
    organisation = registrable(domain)
    if isinstance(own, DmarcRecord):
        return FoundPolicy(own, domain, own.policy)
    if isinstance(own, TemporaryFailure) or organisation == domain or own.broken:
        return own
    above = await _published(dns, organisation)
    if isinstance(above, DmarcRecord):
        return FoundPolicy(above, organisation, above.subdomain_policy)
    return above


async def _published(dns: Lookups, domain: str) -> DmarcRecord | NoPolicy | TemporaryFailure:
    name = f"_dmarc.{domain}"
    match await dns.txt(name):
        case TemporaryFailure() as failure:
            return failure
        case Texts(texts):
            found = [text for text in texts if is_dmarc(text)]
        case NoSuchDomain() | NoRecords():
            found = []
        case never:
            assert_never(never)

    if not found:
        return NoPolicy(f"{name} has no DMARC record")
    if len(found) > 1:
        return NoPolicy(f"{name} has {len(found)} DMARC records, so receivers use none", broken=True)

    try:
        return parse_dmarc(found[0])
    except DmarcSyntaxError as error:
        return NoPolicy(f"the DMARC record of {name} counts for nothing: {error}", broken=True)
