"""Test mails that come back to the inbound listener: judged as any receiver would, and what that means."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import ip_address

from relay.clock import Clock
from relay.mail.transaction import Transaction
from relay.mailauth.results import Authentication, evaluate
from relay.resolver import Lookups
from relay.verification.model import State, Verification
from relay.verification.ports import VerificationStore
from relay.verification.result import Remark, Status


@dataclass(frozen=True, slots=True)
class ReceivedCopies:
    """Judges what comes back. `hostname` is the name Authentication-Results are given under."""

    store: VerificationStore
    resolver: Callable[[], Lookups]
    hostname: Callable[[], str]
    clock: Clock

    async def take(self, queue_id: str, transaction: Transaction) -> None:
        """Judge the copy of that test mail and keep the judgement. Raises StoreError."""
        session, envelope = transaction.session, transaction.envelope
        client = ip_address(session.client)
        seen = await evaluate(self.resolver(), transaction.content, client, session.helo, envelope.reverse_path)
        remarks = remarks_on(seen, session.client, self.hostname())
        state: State = "failed" if any(one.status == "wrong" for one in remarks) else "passed"
        detail = json.dumps([asdict(one) for one in remarks])
        await self.store.verify(Verification(queue_id, "copy", state, self.clock(), detail, queue_id))


def remarks_of(copy: Verification) -> tuple[Remark, ...]:
    """Return what was remarked on a copy."""
    return tuple(Remark(**one) for one in json.loads(copy.detail))


def remarks_on(seen: Authentication, client: str, authserv_id: str) -> tuple[Remark, ...]:
    """Say what a receiver makes of the mail, and what to do where nothing speaks for its domain."""
    domain = seen.dmarc.from_domain
    speaks = seen.dmarc.result == "pass" or (seen.dmarc.result == "none" and _vouched(seen, domain))
    results = Remark("ok", f"Authentication-Results: {seen.results(authserv_id)}")
    return (results, _spf(seen, client, domain, speaks), *_dkim(seen, domain, speaks), _dmarc(seen, domain, speaks))


def _vouched(seen: Authentication, domain: str) -> bool:
    """Tell whether SPF or a signature of the very domain passes, as a receiver without a policy would look."""
    by_spf = seen.spf.result == "pass" and _related(seen.spf.domain, domain)
    return by_spf or any(one.result == "pass" and _related(one.domain, domain) for one in seen.signatures)


def _related(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}") or domain.endswith(f".{name}")


def _spf(seen: Authentication, client: str, domain: str, speaks: bool) -> Remark:
    spf = seen.spf
    if spf.result == "pass":
        return Remark("ok", f"SPF: {spf.domain} lets {client} send")
    text = f"SPF: {spf.result} for {spf.domain} from {client}: {spf.why}"
    if not ip_address(client).is_global:
        fix = f"it came by an address of the inside, which says nothing: relay domain check {domain}"
        return Remark("warning", text, fix)
    fix = f"publish the SPF record that `relay domain records {domain}` shows"
    return Remark("warning" if speaks else "wrong", text, fix)


def _dkim(seen: Authentication, domain: str, speaks: bool) -> list[Remark]:
    if not seen.signatures:
        fix = f'relay dkim new {domain}, then list its selector under [domains."{domain}"] and publish its record'
        return [Remark("warning" if speaks else "wrong", "DKIM: the mail is not signed", fix)]
    remarks = []
    for one in seen.signatures:
        who = f"DKIM: {one.domain}, selector {one.selector}"
        if one.result == "pass":
            remarks.append(Remark("ok", f"{who}: {one.why}"))
        else:
            status: Status = "warning" if speaks else "wrong"
            remarks.append(Remark(status, f"{who}: {one.result}: {one.why}", f"relay domain check {one.domain}"))
    return remarks


def _dmarc(seen: Authentication, domain: str, speaks: bool) -> Remark:
    dmarc = seen.dmarc
    if dmarc.result == "pass":
        return Remark("ok", f"DMARC: {dmarc.why}")
    if dmarc.result == "none":
        fix = f"publish the _dmarc record that `relay domain records {domain}` shows"
        return Remark("warning", f"DMARC: {domain} has no policy: {dmarc.why}", fix)
    fix = f"publish what `relay domain records {domain}` shows; `relay domain check {domain}` explains what is there"
    status: Status = "warning" if dmarc.result == "temperror" or speaks else "wrong"
    return Remark(status, f"DMARC: {dmarc.result}: {dmarc.why}", fix)
