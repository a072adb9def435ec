"""Evaluates SPF, DKIM and DMARC of a message as a receiver, for Authentication-Results (RFC 8601)."""

import re
from dataclasses import dataclass
from typing import Literal

from relay.mail.address_list import Unreadable
from relay.mail.authors import addresses_in
from relay.mail.canonical_address import domain_of
from relay.mail.headers import fields
from relay.mailauth.bounded_lookups import BoundedLookups
from relay.mailauth.dkim_verify import Signature, verify_signatures
from relay.mailauth.dmarc import Alignment, FoundPolicy, NoPolicy, Policy, aligned, discover
from relay.mailauth.spf import SpfVerdict, check_host
from relay.resolver import IPAddress, Lookups, TemporaryFailure

DmarcResult = Literal["pass", "fail", "none", "temperror", "permerror"]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")


@dataclass(frozen=True, slots=True)
class DmarcVerdict:
    """The result for the domain of From, its policy (None without one), and the reason."""

    result: DmarcResult
    from_domain: str
    policy: Policy | None
    why: str


@dataclass(frozen=True, slots=True)
class Authentication:
    """All results of one message. `identity` is the identity checked by SPF: the reverse-path, else HELO."""

    spf: SpfVerdict
    identity: Literal["mailfrom", "helo"]
    signatures: tuple[Signature, ...]
    dmarc: DmarcVerdict

    def results(self, authserv_id: str) -> str:
        """Return the value of an Authentication-Results field, on one line."""
        parts = [authserv_id, f"spf={self.spf.result} smtp.{self.identity}={_value(self.spf.domain)}"]
        parts += [_signature_result(one) for one in self.signatures] or ["dkim=none"]
        policy = f" policy.dmarc={self.dmarc.policy}" if self.dmarc.policy else ""
        parts.append(f"dmarc={self.dmarc.result}{policy} header.from={_value(self.dmarc.from_domain)}")
        return "; ".join(parts)


async def evaluate(dns: Lookups, message: bytes, ip: IPAddress, helo: str, reverse_path: str) -> Authentication:
    """Evaluate a message with CRLF line ends that a receiver got from `ip`.

    `reverse_path` is "" for the null one; SPF then checks the HELO name (RFC 7208 section 2.4). What DNS has not
    answered in time is a temporary error.
    """
    dns = BoundedLookups(dns)
    domain = domain_of(reverse_path) or helo.lower()
    spf = await check_host(dns, ip, domain, reverse_path, helo)
    signatures = await verify_signatures(dns, message)
    dmarc = await _dmarc(dns, _from_domains(message), spf, signatures)
    return Authentication(spf, "mailfrom" if reverse_path else "helo", signatures, dmarc)


def _from_domains(message: bytes) -> list[str]:
    """Return the distinct domains of all From addresses; none if a From cannot be parsed."""
    addresses = addresses_in(message, fields(message), b"from")
    return [] if isinstance(addresses, Unreadable) else list(dict.fromkeys(map(domain_of, addresses)))


async def _dmarc(
    dns: Lookups, from_domains: list[str], spf: SpfVerdict, signatures: tuple[Signature, ...]
) -> DmarcVerdict:
    if len(from_domains) != 1:
        why = "From has addresses of several domains" if from_domains else "From has no address that can be read"
        return DmarcVerdict("permerror", next(iter(from_domains), ""), None, why)
    (domain,) = from_domains
    match await discover(dns, domain):
        case TemporaryFailure(text):
            return DmarcVerdict("temperror", domain, None, f"the policy of {domain} cannot be looked up now: {text}")
        case NoPolicy(why, broken):
            return DmarcVerdict("permerror" if broken else "none", domain, None, why)
        case FoundPolicy(record, _, policy):
            result, why = _alignment(domain, spf, signatures, record.spf_alignment, record.dkim_alignment)
            return DmarcVerdict(result, domain, policy, why)


def _alignment(
    domain: str, spf: SpfVerdict, signatures: tuple[Signature, ...], by_spf: Alignment, by_dkim: Alignment
) -> tuple[DmarcResult, str]:
    """Return whether SPF or a signature is aligned with the domain (RFC 7489 section 3.1), and the reason."""
    signers = [one.domain for one in signatures if one.result == "pass"]
    aligned_signers = [signer for signer in signers if aligned(signer, domain, by_dkim)]
    if aligned_signers:
        return "pass", f"the signature of {aligned_signers[0]} speaks for {domain}"
    if spf.result == "pass" and aligned(spf.domain, domain, by_spf):
        return "pass", f"SPF of {spf.domain} speaks for {domain}"
    if spf.result == "temperror" or any(one.result == "temperror" for one in signatures):
        return "temperror", "SPF or DKIM could not be looked up now"
    reasons = [f"SPF passes for {spf.domain}, not aligned" if spf.result == "pass" else f"SPF gives {spf.result}"]
    reasons += [f"{signer} signed, not aligned" for signer in signers]
    reasons += ["no signature holds"] if not signers else []
    return "fail", f"nothing speaks for {domain}: {'; '.join(reasons)}"


def _signature_result(signature: Signature) -> str:
    return f"dkim={signature.result} header.d={_value(signature.domain)} header.s={_value(signature.selector)}"


def _value(text: str) -> str:
    """Format a text as a token or quoted string (RFC 8601 section 2.2)."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    if _TOKEN.fullmatch(clean):
        return clean
    return '"' + clean.replace("\\", r"\\").replace('"', r"\"") + '"'
