"""Evaluates SPF records (RFC 7208). The only I/O is DNS, through a protocol."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from typing import Literal, assert_never

from relay.mailauth.spf_record import (
    Directive,
    SpfRecord,
    SpfSyntaxError,
    expand,
    expand_domain,
    is_explanation,
    is_spf,
    macro_values,
    parse_spf,
    uses_validated_name,
)
from relay.resolver import (
    AddressAnswer,
    Addresses,
    Hosts,
    IPAddress,
    Lookups,
    Names,
    NoRecords,
    NoSuchDomain,
    TemporaryFailure,
    TextAnswer,
    Texts,
)

SpfResult = Literal["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"]

MAX_LOOKUPS = 10

MAX_VOID_LOOKUPS = 2
"""Maximum terms that query DNS, and maximum queries without a record, before permerror (section 4.6.4)."""

_MAX_HOSTS = 10

_RESULTS: dict[str, SpfResult] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


@dataclass(frozen=True, slots=True)
class SpfVerdict:
    """The result for a domain, the term that matched ("" if none), the reason, and the number of look-ups.

    `explanation` is the domain's own text for a failure (section 6.2), "" if it has none.
    """

    result: SpfResult
    domain: str
    term: str
    why: str
    lookups: int
    explanation: str = ""


async def check_host(
    dns: Lookups,
    ip: IPAddress,
    domain: str,
    sender: str,
    helo: str,
    *,
    limit: int = MAX_LOOKUPS,
) -> SpfVerdict:
    """Evaluate the SPF record of `domain` for a client (section 4).

    `sender` is the reverse-path; the null one "" means postmaster at the HELO name. A `limit` above 10 counts the
    look-ups of a record over the limit.
    """
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    path = sender or f"postmaster@{helo}"
    if not path.rpartition("@")[0]:
        path = f"postmaster@{path.rpartition('@')[2]}"
    evaluation = _Evaluation(dns, ip, path, helo, limit)
    try:
        result, term, why = await evaluation.check(domain)
        explained = await evaluation.explanation() if result == "fail" else ""
    except _Error as error:
        return SpfVerdict(error.result, domain, error.term, str(error), evaluation.lookups)
    return SpfVerdict(result, domain, term, why, evaluation.lookups, explained)


async def count_lookups(dns: Lookups, domain: str) -> int:
    """Count the terms that query DNS when nothing matches, which is the maximum of the record; up to 50."""
    unmatched = ip_network("0.0.0.0/32").network_address
    return (await check_host(dns, unmatched, domain, f"postmaster@{domain}", domain, limit=50)).lookups


class _Error(Exception):
    """Ends an evaluation with temperror or permerror."""

    def __init__(self, result: SpfResult, why: str, term: str = "") -> None:
        super().__init__(why)
        self.result = result
        self.term = term


class _Evaluation:
    """One evaluation; its counters include those of included records."""

    def __init__(self, dns: Lookups, ip: IPAddress, sender: str, helo: str, limit: int) -> None:
        self._dns = dns
        self._ip = ip
        self._sender = sender
        self._helo = helo
        self._limit = limit
        self._voids = 0
        self._explains = ("", "")
        self.lookups = 0

    async def check(self, domain: str, *, included: bool = False) -> tuple[SpfResult, str, str]:
        """Return result, matching term and reason for one domain."""
        if not _may_have_record(domain):
            return "none", "", f'"{domain}" is not a domain name that can have a record'

        found = await self._record(domain)
        if found is None:
            return "none", "", f"{domain} has no SPF record"

        for directive in found.directives:
            if await self._matches(directive, domain):
                if directive.qualifier == "-" and not included:
                    self._explains = (found.explanation, domain)
                return (
                    _RESULTS[directive.qualifier],
                    directive.text,
                    f'"{directive.text}" of {domain} matches {self._ip}',
                )

        if not found.redirect:
            return "neutral", "", f"nothing in the record of {domain} matches {self._ip}"

        return await self._redirected(found, domain, included=included)

    async def explanation(self) -> str:
        """Return the explanation of a domain for a failure, "" on any error (section 6.2)."""
        spec, domain = self._explains
        if not spec:
            return ""
        match await self._dns.txt(await self._target(spec, domain)):
            case Texts((text,)) if is_explanation(text):
                return expand(text, await self._values(text, domain))
            case Texts() | NoSuchDomain() | NoRecords() | TemporaryFailure():
                return ""
            case never:
                assert_never(never)

    async def _record(self, domain: str) -> SpfRecord | None:
        match await self._dns.txt(domain):
            case TemporaryFailure(text):
                raise _Error("temperror", f"the record of {domain} cannot be read now: {text}")
            case Texts(texts):
                records = [text for text in texts if is_spf(text)]
            case NoSuchDomain() | NoRecords():
                records = []
            case never:
                assert_never(never)

        if len(records) > 1:
            raise _Error("permerror", f"{domain} has {len(records)} SPF records; only one may be there")

        try:
            return parse_spf(records[0]) if records else None
        except SpfSyntaxError as error:
            raise _Error("permerror", f"the record of {domain} is malformed: {error}") from None

    async def _redirected(self, record: SpfRecord, domain: str, *, included: bool) -> tuple[SpfResult, str, str]:
        self._count(f"redirect={record.redirect}")
        target = await self._target(record.redirect, domain)
        result, term, why = await self.check(target, included=included)
        if result == "none":
            raise _Error("permerror", f"{domain} redirects to {target}: {why}", f"redirect={record.redirect}")
        return result, term, why

    async def _matches(self, directive: Directive, domain: str) -> bool:
        match directive.mechanism:
            case "all":
                return True
            case "ip4" | "ip6":
                assert directive.network is not None
                return directive.network.version == self._ip.version and self._ip in directive.network

        self._count(directive.text)
        target = await self._target(directive.target, domain) if directive.target else domain
        match directive.mechanism:
            case "include":
                return await self._included(directive, target)
            case "exists":
                answer = self._checked_answer(await self._dns.addresses(target, ipv6=False), directive)
                return isinstance(answer, Addresses)
            case "a":
                return self._within(directive, await self._addresses(target, directive))
            case "mx":
                return await self._is_exchanger(directive, target)
            case _:
                return any(_is_below(name, target) for name in await self._validated_names())

    async def _included(self, directive: Directive, target: str) -> bool:
        result, _, why = await self.check(target, included=True)
        if result == "none":
            raise _Error("permerror", f'"{directive.text}": {why}', directive.text)
        return result == "pass"

    async def _is_exchanger(self, directive: Directive, target: str) -> bool:
        answer = await self._dns.mx(target)
        if isinstance(answer, TemporaryFailure):
            raise _Error("temperror", f'"{directive.text}": {answer.text}', directive.text)
        if not isinstance(answer, Hosts) or answer.implicit:
            self._count_void(directive.text)
            return False
        if len(answer.hosts) > _MAX_HOSTS:
            raise _Error(
                "permerror", f'"{directive.text}": {target} has more than {_MAX_HOSTS} MX hosts', directive.text
            )

        for host in answer.hosts:
            if self._within(directive, await self._addresses(host.name, directive)):
                return True

        return False

    async def _addresses(self, host: str, directive: Directive) -> tuple[IPAddress, ...]:
        answer = self._checked_answer(await self._dns.addresses(host, ipv6=self._ip.version == 6), directive)
        return answer.addresses if isinstance(answer, Addresses) else ()

    def _within(self, directive: Directive, addresses: tuple[IPAddress, ...]) -> bool:
        prefix = directive.prefix_v4 if self._ip.version == 4 else directive.prefix_v6
        network = ip_network(f"{self._ip}/{prefix}", strict=False)
        return any(address.version == self._ip.version and address in network for address in addresses)

    async def _validated_names(self) -> list[str]:
        """Return the validated names of the client (section 5.5); a name that cannot be resolved is not one."""
        answer = await self._dns.ptr(self._ip)
        if not isinstance(answer, Names):
            return []
        names = []
        for name in answer.names[:_MAX_HOSTS]:
            found = await self._dns.addresses(name, ipv6=self._ip.version == 6)
            if isinstance(found, Addresses) and self._ip in found.addresses:
                names.append(name)
        return names

    async def _target(self, spec: str, domain: str) -> str:
        return expand_domain(spec, await self._values(spec, domain))

    async def _values(self, text: str, domain: str) -> dict[str, str]:
        known = macro_values(self._ip, self._sender, self._helo, domain)
        if uses_validated_name(text):
            names = await self._validated_names()
            known["p"] = min(names, key=lambda name: (name != domain, not _is_below(name, domain)), default="unknown")
        return known

    def _checked_answer(self, answer: AddressAnswer | TextAnswer, directive: Directive) -> AddressAnswer | TextAnswer:
        match answer:
            case TemporaryFailure(text):
                raise _Error("temperror", f'"{directive.text}": {text}', directive.text)
            case NoSuchDomain() | NoRecords():
                self._count_void(directive.text)
            case Addresses() | Texts():
                pass
            case _:
                assert_never(answer)
        return answer

    def _count(self, term: str) -> None:
        self.lookups += 1
        if self.lookups > self._limit:
            raise _Error("permerror", f'more than {self._limit} terms ask DNS; "{term}" is one too many', term)

    def _count_void(self, term: str) -> None:
        self._voids += 1
        if self._voids > MAX_VOID_LOOKUPS:
            raise _Error(
                "permerror", f'more than {MAX_VOID_LOOKUPS} terms find nothing in DNS; "{term}" was the last', term
            )


def _may_have_record(domain: str) -> bool:
    labels = domain.removesuffix(".").split(".")
    return len(domain) <= 254 and len(labels) > 1 and all(0 < len(label) <= 63 for label in labels)


def _is_below(name: str, domain: str) -> bool:
    return name.lower() == domain.lower() or name.lower().endswith("." + domain.lower())
