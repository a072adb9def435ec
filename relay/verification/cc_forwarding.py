"""CC step: tests that the mailbox of an identity forwards to its CC tracking address.

It mails the identity and waits for the copy. Most identities need no forwarder, so a missing one is no fault: the step
says what to set and where.
"""

from dataclasses import dataclass

from relay.domains.mail_exchanger import MailExchanger
from relay.mail.canonical_address import domain_of
from relay.queue.entry import State
from relay.reports.ports import Story
from relay.rewrite.tokens import Kind, Token, cc_address, sign_address_token
from relay.verification.context import STEP_TIMEOUT, VerificationContext, poll_until
from relay.verification.messages import forwarder_mail
from relay.verification.model import Verification
from relay.verification.result import Remark, Result, failed
from relay.verification.sending import COPIES_KEPT, delivery_remark, is_in_flight

FORWARDING = 30.0
"""Seconds that a forwarder has, after the mailbox accepted the test mail."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Progress of the test mail; `story` is None while it is not stored."""

    story: Story | None
    copy: Verification | None

    @property
    def is_decided(self) -> bool:
        """Whether the mailbox accepted or refused the mail, or its copy came."""
        return self.copy is not None or bool(self.story and not is_in_flight(self.story, self.story.entries[0]))


async def try_forwarder(tools: VerificationContext, identity: str) -> Result:
    """Mail the identity and wait for the copy; say what to set where no copy can come or none came. Raises StoreError.

    It passes also if mail to the identity comes to this relay without a forwarder.
    """
    settings = tools.settings()
    if settings.identity_for(identity) is None:
        return _unset(f"{identity} is not listed, so it has no CC tracking address", f"relay identity add {identity}")
    exchanger = await tools.exchangers.ask(domain_of(identity))
    if exchanger.kind == "own":
        text = f"mail to {identity} comes to this relay, the MX of {domain_of(identity)}: it needs no forwarder"
        return Result("cc", "passed", (Remark("ok", text),))

    domain = settings.domain_for(identity).reply_domain
    if not (domain and settings.takes_inbound):
        fix = f'set reply_domain under [domains."{domain_of(identity)}"] and add a [[listener]] of kind "inbound"'
        return _unset(f"{identity} has no CC tracking address", fix)
    where = cc_address(tools.keyring(), identity, domain)
    if (lost := _lost(domain, await tools.exchangers.ask(domain), settings.server.hostname)) is not None:
        return Result("cc", "failed", (lost,))
    if not exchanger.hosts:
        what = exchanger.why or f"{domain_of(identity)} has no mail exchanger"
        return _unset(f"no mail reaches {identity}: {what}", f"in the mailbox that gets its answers, {_setting(where)}")
    return await _try_mailbox(tools, identity, where, ", ".join(exchanger.hosts))


async def _try_mailbox(tools: VerificationContext, identity: str, where: str, hosts: str) -> Result:
    queue_id = tools.new_id(tools.clock())
    token = sign_address_token(tools.keyring(), Token(Kind.TEST, queue_id, 0))
    content = forwarder_mail(queue_id, identity, f"{token}@{domain_of(where)}", tools.settings().server.hostname)
    tools.forget_dns()
    reply = await tools.send_test(queue_id, identity, (identity,), content)
    if reply.code != 250:
        return failed("cc", f"the relay itself refused the mail to {identity}: {reply}")

    async def look() -> _Seen:
        return _Seen(await tools.story(queue_id), next(iter(await tools.store.find(queue_id)), None))

    seen = await poll_until(look, lambda seen: seen.is_decided, STEP_TIMEOUT)
    if seen.copy is None and seen.story and seen.story.entries[0].state is State.DELIVERED:
        seen = await poll_until(look, lambda seen: seen.copy is not None, FORWARDING)
    await tools.store.forget_copies(tools.clock() - COPIES_KEPT)
    return _evaluated(identity, where, hosts, queue_id, seen)


def _evaluated(identity: str, where: str, hosts: str, queue_id: str, seen: _Seen) -> Result:
    """Return the result of a test mail that was sent."""
    if seen.copy is not None and seen.copy.detail == identity:
        text = f"a mail to {identity} came back by its CC tracking address {where}"
        return Result("cc", "passed", (Remark("ok", text),), queue_id)
    fix = f"in the mailbox of {identity}, at {hosts}, {_setting(where)}"
    if seen.copy is not None:
        text = f"the mailbox forwards to the CC tracking address of {seen.copy.detail}"
        return Result("cc", "failed", (Remark("wrong", text, fix),), queue_id)

    delivery = delivery_remark(seen.story, seen.story.entries[0]) if seen.story else None
    if delivery is None or delivery.status != "ok":
        text = f"the mail to {identity} did not arrive: {delivery.text if delivery else 'it is not in the store'}"
        return Result("cc", "failed", (Remark("warning", text, fix),), queue_id)
    text = f"no copy came within {FORWARDING:g} s, though the mail was {delivery.text}"
    return Result("cc", "failed", (Remark("warning", text, fix),), queue_id)


def _lost(domain: str, exchanger: MailExchanger, hostname: str) -> Remark | None:
    """Return the remark on a reply domain whose mail does not come to this relay, None if it does or if DNS is away."""
    if exchanger.leads_here or exchanger.kind == "unknown":
        return None
    why = exchanger.why or f"its MX is {', '.join(exchanger.hosts)}"
    return Remark(
        "wrong",
        f"mail to the CC tracking address at {domain} does not come here: {why}",
        f"publish MX 10 {hostname} for {domain}",
    )


def _setting(where: str) -> str:
    return f"forward all mail to {where} and keep a copy there"


def _unset(text: str, fix: str) -> Result:
    return Result("cc", "failed", (Remark("warning", text, fix),))
