"""Compares TXT records with DNS: DKIM keys, SPF, DMARC. Each finding explains one difference."""

from relay.domains.finding import Finding, Status, found, missing, no_answer
from relay.domains.records import SendingDomain, WantedRecord
from relay.mailauth.dkim_record import PublishedKeyError, is_cut, parse_published_key, same_key
from relay.mailauth.dmarc import FoundPolicy, NoPolicy, aligned, discover
from relay.mailauth.spf import MAX_LOOKUPS, check_host, count_lookups
from relay.mailauth.spf_record import SpfRecord, SpfSyntaxError, is_spf, parse_spf
from relay.resolver import IPAddress, Lookups, NoRecords, TemporaryFailure, Texts

SHORT_KEY = 2048
"""Bits below which an RSA key gets a warning (RFC 8301 section 3.2: signers should use at least 2048)."""


async def check_key(dns: Lookups, domain: SendingDomain, wanted: WantedRecord) -> Finding:
    """Check that the published key is the one that signs, and strong enough."""
    answer = await dns.txt(wanted.name)
    if not isinstance(answer, Texts):
        return await missing(dns, domain.name, wanted, answer)
    texts = answer.texts
    if len(texts) > 1:
        text = f"there are {len(texts)} TXT records, and which one is taken is chance: leave only the wanted one"
        return found(wanted, "wrong", texts, text)
    status, text = _key_verdict(texts[0], wanted.value)
    return found(wanted, status, texts, text)


def _key_verdict(record_text: str, wanted: str) -> tuple[Status, str]:
    if is_cut(record_text, wanted):
        return "wrong", f"the key was cut off after {len(record_text)} characters: enter it in strings of at most 255"

    try:
        key = parse_published_key(record_text)
    except PublishedKeyError as error:
        return "wrong", f"the record {error}: replace it by the wanted one"

    if key.revoked:
        return "wrong", "the key has been revoked (an empty p=): replace it by the wanted one"
    if not same_key(record_text, wanted):
        return "wrong", "DNS shows another key than the one that signs, so signatures fail: publish the wanted one"
    if key.kind == "rsa" and key.bits < SHORT_KEY:
        return "warning", f"the key has {key.bits} bits: make one of {SHORT_KEY} under another selector"
    if key.testing:
        return "warning", "t=y says that signing is only being tested: take it out"

    return "ok", f"DNS shows the key that signs ({'RSA, ' if key.kind == 'rsa' else 'Ed25519, '}{key.bits} bits)"


async def check_spf(dns: Lookups, domain: SendingDomain, wanted: WantedRecord, relay: tuple[IPAddress, ...]) -> Finding:
    """Check that the SPF record allows relay to send; it may contain more than the wanted one."""
    answer = await dns.txt(wanted.name)
    if not isinstance(answer, Texts):
        return await missing(dns, domain.name, wanted, answer)

    texts = tuple(text for text in answer.texts if is_spf(text))
    if not texts:
        return await missing(dns, domain.name, wanted, NoRecords())
    if len(texts) > 1:
        text = f"there are {len(texts)} SPF records, so all fail: merge them into one"
        return found(wanted, "wrong", texts, text)

    try:
        record = parse_spf(texts[0])
    except SpfSyntaxError as error:
        return found(wanted, "wrong", texts, f"the record is malformed, so it always fails: {error}")

    status, text = await _spf_verdict(dns, domain, wanted, record, texts[0], relay)
    return found(wanted, status, texts, text)


async def _spf_verdict(
    dns: Lookups,
    domain: SendingDomain,
    wanted: WantedRecord,
    record: SpfRecord,
    record_text: str,
    relay: tuple[IPAddress, ...],
) -> tuple[Status, str]:
    cost = await count_lookups(dns, wanted.name)
    if cost > MAX_LOOKUPS:
        return (
            "wrong",
            f"it takes {cost} DNS look-ups, and receivers stop at {MAX_LOOKUPS}: put addresses for some of them",
        )

    last = record.directives[-1] if record.directives else None
    if any(directive.mechanism == "all" and directive.qualifier == "+" for directive in record.directives):
        return "wrong", "+all lets all hosts send in the domain's name: write ~all"

    missing_terms = [term for term in wanted.value.split()[1:-1] if term not in {one.text for one in record.directives}]
    own = f"a:{domain.hostname}"
    for address in relay if own in wanted.value.split() else ():
        verdict = await check_host(dns, address, wanted.name, f"postmaster@{wanted.name}", domain.hostname)
        if verdict.result == "temperror":
            return "unknown", f"DNS gives no answer now ({verdict.why}): try again"
        if verdict.result != "pass":
            right = _with_terms(record_text, [own])
            return "wrong", f"{address} may not send ({verdict.result}: {verdict.why}): publish {right}"

    if relay and own in missing_terms:
        missing_terms.remove(own)
    if missing_terms:
        return "wrong", f"it lacks {', '.join(missing_terms)}: publish {_with_terms(record_text, missing_terms)}"
    if any(directive.mechanism == "ptr" for directive in record.directives):
        return "warning", "ptr is slow and not to be used any more (RFC 7208 section 5.5): replace it by addresses"
    if not record.redirect and (last is None or last.mechanism != "all"):
        return "warning", "it does not end with ~all or -all, so it says nothing against other hosts: add ~all"

    return "ok", f"lets the relay send ({cost} of {MAX_LOOKUPS} look-ups)"


def _with_terms(record_text: str, terms: list[str]) -> str:
    """Return the record with terms inserted first, so that no earlier term can refuse them."""
    version, _, rest = record_text.partition(" ")
    return f'"{" ".join((version, *terms, rest.strip())).strip()}"'


async def check_dmarc(dns: Lookups, domain: SendingDomain, wanted: WantedRecord) -> Finding:
    """Check that a DMARC policy applies to the domain, and that its mail can pass."""
    policy = await discover(dns, domain.name)
    match policy:
        case TemporaryFailure():
            return no_answer(wanted, policy)
        case NoPolicy(why, broken=True):
            texts = await dns.txt(wanted.name)
            observed = texts.texts if isinstance(texts, Texts) else ()
            return found(wanted, "wrong", observed, f"{why}: leave one record such as the wanted one")
        case NoPolicy():
            answer = await dns.txt(wanted.name)
            return await missing(dns, domain.name, wanted, NoRecords() if isinstance(answer, Texts) else answer)

    texts = await dns.txt(f"_dmarc.{policy.publisher}")
    status, text = _dmarc_verdict(domain, policy)
    return found(wanted, status, texts.texts if isinstance(texts, Texts) else (), text)


def _dmarc_verdict(domain: SendingDomain, policy: FoundPolicy) -> tuple[Status, str]:
    record = policy.record
    by_path = aligned(domain.path_domain, domain.name, record.spf_alignment)
    if not by_path and not domain.keys:
        consequence = {"none": "", "quarantine": " and is taken for spam", "reject": " and is refused"}[policy.policy]
        return (
            "wrong",
            f"neither SPF nor DKIM speaks for {domain.name}, so its mail fails{consequence}: sign it with DKIM",
        )
    if not by_path and record.spf_alignment == "strict":
        text = f"aspf=s lets only the return path {domain.name} count, not {domain.path_domain}: take it out"
        return "warning", f"{text}; until then all hangs on DKIM"
    if not by_path:
        text = f"the return path {domain.path_domain} does not speak for {domain.name}: take one below {domain.name}"
        return "warning", f"{text}; until then all hangs on DKIM"
    if policy.publisher != domain.name:
        return "ok", f"the policy of {policy.publisher} holds here: {policy.policy}"
    if policy.policy == "none":
        reports = "" if record.reports else ' and have reports sent ("rua=mailto:…")'
        return "ok", f"the policy is none, which only watches: when all mail passes, go on to quarantine{reports}"

    return "ok", f"the policy is {policy.policy}, and mail passes by {'SPF and DKIM' if domain.keys else 'SPF'}"
