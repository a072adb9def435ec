"""Sending step: submits a test mail, waits for delivery, and reports on the copy that comes back."""

from dataclasses import dataclass
from typing import assert_never

from relay.config.settings import Settings
from relay.events.event import Kind
from relay.mail.canonical_address import domain_of
from relay.queue.entry import Entry, State
from relay.reports.ports import Story
from relay.reports.serialize import time_json
from relay.rewrite.tokens import Keyring, Token, sign_address_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.verification.context import VerificationContext, poll_until, readers_of
from relay.verification.messages import test_mail
from relay.verification.model import Verification
from relay.verification.received_copies import remarks_of
from relay.verification.result import Remark, Result, evaluated, failed

COPIES_KEPT = 86400.0
"""Seconds for which results of copies are stored."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Progress of a test mail."""

    story: Story | None
    copy: Verification | None


async def try_sending(tools: VerificationContext, identity: str, to: tuple[str, ...]) -> Result:
    """Send a test mail to the readers of the identity, or to the addresses given, and wait for its delivery."""
    settings, keyring = tools.settings(), tools.keyring()
    readers = to or readers_of(settings, identity)
    queue_id = tools.new_id(tools.clock())
    copy_to = copy_address(settings, keyring, identity, queue_id, len(readers))
    tools.forget_dns()
    content = test_mail(queue_id, identity, readers, settings.server.hostname, test_link(identity))
    reply = await tools.send_test(queue_id, identity, (*readers, copy_to) if copy_to else readers, content)
    if reply.code != 250:
        return failed("sending", f"the relay itself refused the test mail: {reply}")

    async def look() -> _Seen:
        copies = await tools.store.find(queue_id) if copy_to else ()
        return _Seen(await tools.story(queue_id), next(iter(copies), None))

    seen = await poll_until(look, lambda seen: _is_over(seen, len(readers), copied=bool(copy_to)))
    await tools.store.forget_copies(tools.clock() - COPIES_KEPT)
    if seen.story is None:
        return failed("sending", f"the test mail {queue_id} is not in the store", "relay status")
    remarks = [delivery_remark(seen.story, entry) for entry in seen.story.entries[: len(readers)]]
    if copy_to:
        remarks += _copy_remarks(settings, seen.story, seen.story.entries[len(readers)], seen.copy)
    else:
        remarks.append(_no_copy(identity))
    return evaluated("sending", tuple(remarks), queue_id)


def test_link(identity: str) -> str:
    """Return the link in test mails. Its target does not matter; a click on it must be recorded."""
    return f"https://{domain_of(identity)}/"


def copy_address(settings: Settings, keyring: Keyring, identity: str, queue_id: str, number: int) -> str:
    """Return the signed address to which the copy is sent, "" when this relay receives no mail.

    `number` is the index of the recipient in its message.
    """
    sender = settings.domain_for(identity)
    domain = sender.return_path or sender.reply_domain
    if not domain or not any(listener.kind == "inbound" for listener in settings.listeners):
        return ""
    return f"{sign_address_token(keyring, Token(TokenKind.TEST, queue_id, number))}@{domain}"


def _is_over(seen: _Seen, readers: int, *, copied: bool) -> bool:
    """Whether no further progress is expected soon. The copy's entry follows those of the readers."""
    entries = seen.story.entries[: readers + copied] if seen.story else ()
    if seen.story is None or any(is_in_flight(seen.story, entry) for entry in entries):
        return False
    return not copied or seen.copy is not None or entries[-1].state is not State.DELIVERED


def is_in_flight(story: Story, entry: Entry) -> bool:
    """Whether the first attempt is to come or in progress, and no limit delays it."""
    waits_for_limit = entry.release_at > story.message.created_at
    return entry.state is State.ACTIVE or (entry.state is State.WAITING and not entry.attempts and not waits_for_limit)


def delivery_remark(story: Story, entry: Entry) -> Remark:
    """Return the delivery state of one recipient of the test mail."""
    reply = f": {entry.last_reply}" if entry.last_reply else ""
    match entry.state:
        case State.DELIVERED:
            return Remark("ok", f"taken for <{entry.recipient}> by {entry.last_remote or 'its server'}{reply}")
        case State.BOUNCED:
            bounced = [one for one in story.events if one.kind is Kind.BOUNCED and one.number == entry.number]
            guidance = str(bounced[-1].data.get("guidance", "")) if bounced else ""
            return Remark("wrong", f"refused for <{entry.recipient}>{reply or f': {entry.reason}'}", guidance)
        case State.DROPPED:
            fix = f"relay suppression list --address {entry.recipient}"
            return Remark("wrong", f"not sent to <{entry.recipient}>: {entry.reason}", fix)
        case State.HELD:
            return Remark("wrong", f"held: <{entry.recipient}>", f"relay queue release {entry.queue_id}")
        case State.WAITING | State.ACTIVE:
            pass
        case _:
            assert_never(entry.state)

    if entry.release_at > story.message.created_at and not entry.attempts:
        text = f"the sending limit is used up: leaves at {time_json(entry.release_at)}"
        return Remark("wrong", text, "wait for that, or raise the identity's limits")
    if entry.attempts:
        again = f"it is tried again at {time_json(entry.next_attempt_at)}; then test again"
        return Remark("wrong", f"not taken for <{entry.recipient}> yet{reply}", again)

    return Remark("wrong", f"not tried for <{entry.recipient}> yet", "relay queue list, relay status")


def _copy_remarks(settings: Settings, story: Story, entry: Entry, copy: Verification | None) -> list[Remark]:
    """Return the remarks on the copy that came back, or why it did not come back."""
    if copy is not None:
        return list(remarks_of(copy))
    domain = domain_of(entry.recipient)
    delivery = delivery_remark(story, entry)
    fix = (
        f"the MX record of {domain} must lead to {settings.server.hostname}, and there to a listener of kind "
        f'"inbound": relay domain check {story.message.policy.domain}'
    )
    text = f"the copy to {domain} did not come back"
    if delivery.status == "ok":
        return [Remark("wrong", f"{text}, though it was {delivery.text}", fix)]
    return [Remark("wrong", f"{text}: {delivery.text}", fix)]


def _no_copy(identity: str) -> Remark:
    domain = domain_of(identity)
    fix = f'set return_path under [domains."{domain}"] and add a [[listener]] of kind "inbound"'
    return Remark("warning", "no copy comes back to this relay, so SPF, DKIM and DMARC were not evaluated", fix)
