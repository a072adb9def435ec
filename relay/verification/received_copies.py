"""Evaluates test mails that return to the inbound listener, as a receiver would. Creates remarks."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import ip_address

from relay.clock import Clock
from relay.mail.transaction import Transaction
from relay.mailauth.evaluate import Authentication, evaluate
from relay.resolver import Lookups
from relay.verification.model import State, Verification
from relay.verification.ports import VerificationStore
from relay.verification.result import Remark, Status


@dataclass(frozen=True, slots=True)
class ReceivedCopies:
    """Evaluates returned test mails. `hostname` is the authserv-id of Authentication-Results."""

    store: VerificationStore
    resolver: Callable[[], Lookups]
    hostname: Callable[[], str]
    clock: Clock

    async def take(self, queue_id: str, transaction: Transaction) -> bool:
        """Evaluate the copy of a test mail and store the result; False if one came before. Raises StoreError."""
        if any(one.step == "copy" for one in await self.store.find(queue_id)):
            return False
        session, envelope = transaction.session, transaction.envelope
        client = ip_address(session.client)
        seen = await evaluate(self.resolver(), transaction.content, client, session.helo, envelope.reverse_path)
        remarks = remarks_on(seen, session.client, self.hostname())
        state: State = "failed" if any(one.status == "wrong" for one in remarks) else "passed"
        detail = json.dumps([asdict(one) for one in remarks])
        return await self.store.add_copy(Verification(queue_id, "copy", state, self.clock(), detail, queue_id))

    async def take_forwarded(self, queue_id: str, identity: str) -> None:
        """Store that a test mail came back by the CC tracking address of this identity. Raises StoreError."""
        await self.store.verify(Verification(queue_id, "copy", "passed", self.clock(), identity, queue_id))


def remarks_of(copy: Verification) -> tuple[Remark, ...]:
    """Return the stored remarks on a copy."""
    return tuple(Remark(**one) for one in json.loads(copy.detail))


def remarks_on(seen: Authentication, client: str, authserv_id: str) -> tuple[Remark, ...]:
    """Return what a receiver concludes, and what to do where neither SPF, DKIM nor DMARC authenticates the domain."""
    domain = seen.dmarc.from_domain
    authenticated = seen.dmarc.result == "pass" or (seen.dmarc.result == "none" and _is_authenticated(seen, domain))
    results = Remark("ok", f"Authentication-Results: {seen.results(authserv_id)}")
    return (
        results,
        _spf(seen, client, domain, authenticated),
        *_dkim(seen, domain, authenticated),
        _dmarc(seen, domain, authenticated),
    )


def _is_authenticated(seen: Authentication, domain: str) -> bool:
    """Whether SPF or a signature of this domain passes, as a receiver without a DMARC policy checks it."""
    by_spf = seen.spf.result == "pass" and _related(seen.spf.domain, domain)
    return by_spf or any(one.result == "pass" and _related(one.domain, domain) for one in seen.signatures)


def _related(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}") or domain.endswith(f".{name}")


def _spf(seen: Authentication, client: str, domain: str, authenticated: bool) -> Remark:
    spf = seen.spf
    if spf.result == "pass":
        return Remark("ok", f"SPF: {spf.domain} lets {client} send")
    text = f"SPF: {spf.result} for {spf.domain} from {client}: {spf.why}"
    if not ip_address(client).is_global:
        fix = f"it came by an address of the inside, which says nothing: relay domain check {domain}"
        return Remark("warning", text, fix)
    fix = f"publish the SPF record that `relay domain records {domain}` shows"
    return Remark("warning" if authenticated else "wrong", text, fix)


def _dkim(seen: Authentication, domain: str, authenticated: bool) -> list[Remark]:
    if not seen.signatures:
        fix = f'relay dkim new {domain}, then list its selector under [domains."{domain}"] and publish its record'
        return [Remark("warning" if authenticated else "wrong", "DKIM: the mail is not signed", fix)]
    remarks = []
    for one in seen.signatures:
        who = f"DKIM: {one.domain}, selector {one.selector}"
        if one.result == "pass":
            remarks.append(Remark("ok", f"{who}: {one.why}"))
        else:
            status: Status = "warning" if authenticated else "wrong"
            remarks.append(Remark(status, f"{who}: {one.result}: {one.why}", f"relay domain check {one.domain}"))
    return remarks


def _dmarc(seen: Authentication, domain: str, authenticated: bool) -> Remark:
    dmarc = seen.dmarc
    if dmarc.result == "pass":
        return Remark("ok", f"DMARC: {dmarc.why}")
    if dmarc.result == "none":
        fix = f"publish the _dmarc record that `relay domain records {domain}` shows"
        return Remark("warning", f"DMARC: {domain} has no policy: {dmarc.why}", fix)
    fix = f"publish what `relay domain records {domain}` shows; `relay domain check {domain}` explains what is there"
    status: Status = "warning" if dmarc.result == "temperror" or authenticated else "wrong"
    return Remark(status, f"DMARC: {dmarc.result}: {dmarc.why}", fix)
