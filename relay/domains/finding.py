"""Findings of DNS checks, and explanations of missing records."""

from dataclasses import dataclass
from typing import Literal

from relay.domains.cname_chain import Chain, follow
from relay.domains.records import Role, WantedRecord
from relay.resolver import Addresses, Alias, Hosts, Lookups, Negative, NoSuchDomain, TemporaryFailure, Texts

Status = Literal["ok", "warning", "wrong", "unknown"]
""""ok": as wanted; "warning": works with a flaw; "wrong": does not work; "unknown": DNS did not answer."""

Subject = Role | Literal["domain", "relay host"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A record as wanted and as observed, with a sentence on the difference and its remedy."""

    subject: Subject
    status: Status
    name: str
    kind: str
    wanted: str
    observed: tuple[str, ...]
    text: str


def found(wanted: WantedRecord, status: Status, observed: tuple[str, ...], text: str) -> Finding:
    """Return a finding about a wanted record."""
    return Finding(wanted.role, status, wanted.name, wanted.kind, wanted.value, observed, text)


def no_answer(wanted: WantedRecord, failure: TemporaryFailure) -> Finding:
    """Return the finding for a temporary DNS failure, which is no evidence about the record."""
    text = f"DNS gives no answer now ({failure.text}): try again; if it stays so, a name server of the zone is at fault"
    return found(wanted, "unknown", (), text)


async def missing(dns: Lookups, zone: str, wanted: WantedRecord, answer: Negative) -> Finding:
    """Explain a missing record: wrong name entered in a DNS panel, alias without target, or not published.

    `zone` is the domain that a DNS panel appends to a name.
    """
    chain = await follow(dns, wanted.name)
    if isinstance(chain, Chain) and chain.endless:
        text = f"its aliases go in a circle or never end ({chain}): let {wanted.name} point straight to its target"
        return found(wanted, "wrong", chain.names, text)

    for failure in (answer, chain):
        if isinstance(failure, TemporaryFailure):
            return no_answer(wanted, failure)

    if isinstance(chain, Chain) and chain.names:
        text = f"it is an alias that leads over {chain} to no {wanted.kind} record: add the record there"
        return found(wanted, "wrong", chain.names, text)

    doubled = f"{wanted.name}.{zone}"
    if wanted.name.endswith(f".{zone}") and await _exists(dns, doubled, wanted.kind):
        short = wanted.name.removesuffix(f".{zone}")
        text = f'it was published as {doubled}: the DNS panel adds the domain by itself, so enter only "{short}"'
        return found(wanted, "wrong", (doubled,), text)

    state = "does not exist" if isinstance(answer, NoSuchDomain) else f"has no {wanted.kind} record"
    return found(wanted, "wrong", (), f"{wanted.name} {state}: add the record")


async def _exists(dns: Lookups, name: str, kind: str) -> bool:
    match kind:
        case "CNAME":
            return isinstance(await dns.cname(name), Alias)
        case "TXT":
            return isinstance(await dns.txt(name), Texts)
        case "MX":
            answer = await dns.mx(name)
            return isinstance(answer, Hosts) and not answer.implicit
        case _:
            return isinstance(await dns.addresses(name), Addresses)
