"""Steps that send codes: first they check that mail to the identity arrives, the receiving step by a test response."""

from dataclasses import replace

from relay.events.event import Kind
from relay.mail.canonical_address import domain_of
from relay.reports.ports import Story
from relay.verification.codes import send_code
from relay.verification.context import STEP_TIMEOUT, VerificationContext, poll_until
from relay.verification.messages import response_mail
from relay.verification.reply_delivery import answers_remark
from relay.verification.result import Remark, Result


async def try_receiving(tools: VerificationContext, identity: str) -> Result:
    """Check where answers to the identity go; try one if they come to this relay; then send a code to its readers.

    No code is sent if this relay would lose the answers. Raises StoreError.
    """
    exchanger = await tools.exchangers.ask(domain_of(identity))
    where = answers_remark(tools.settings(), identity, exchanger)
    story = await test_mail_of(tools, identity)
    if exchanger.kind == "own" and where.status == "ok":
        remarks = [where, await _answer(tools, identity, story)]
    elif exchanger.kind == "own":
        remarks = [where]
    else:
        remarks = [replace(where, status="warning") if where.status == "wrong" else where]
    if any(one.status == "wrong" for one in remarks):
        return Result("receiving", "failed", tuple(remarks), story.message.queue_id if story else "")
    result = await send_code(tools, identity, "receiving")
    return replace(result, remarks=(*remarks, *result.remarks))


async def try_sender(tools: VerificationContext, identity: str, limit: int) -> Result:
    """Send a code to the address itself, unless this relay, as its MX, would refuse the mail.

    `limit` as in `send_code`. Raises StoreError.
    """
    exchanger = await tools.exchangers.ask(domain_of(identity))
    where = answers_remark(tools.settings(), identity, exchanger)
    if exchanger.kind == "own" and where.status == "wrong":
        return Result("sender", "failed", (where,))
    return await send_code(tools, identity, "sender", limit)


async def test_mail_of(tools: VerificationContext, identity: str) -> Story | None:
    """Return the timeline of the last test mail of the identity, None before the first."""
    sent = next((one for one in await tools.store.find(identity) if one.step == "sending"), None)
    return await tools.story(sent.queue_id) if sent and sent.queue_id else None


async def _answer(tools: VerificationContext, identity: str, story: Story | None) -> Remark:
    if story is None:
        fix = f"relay identity verify {identity} --step sending"
        return Remark("warning", "no answer was tried, as there is no test mail yet", fix)
    return await send_response(tools, identity, identity, story)


async def send_response(tools: VerificationContext, identity: str, to: str, story: Story) -> Remark:
    """Send a test response to that address, and wait for the REPLY event in the timeline."""
    home, started = domain_of(to), tools.clock()
    queue_id = tools.new_id(started)
    tools.forget_dns()
    content = response_mail(queue_id, identity, to, story.message.message_id)
    reply = await tools.send_test(queue_id, identity, (to,), content)
    if reply.code != 250:
        return Remark("wrong", f"the relay itself refused the test response: {reply}")

    async def look() -> bool:
        seen = await tools.story(story.message.queue_id)
        replies = [one for one in (seen.events if seen else ()) if one.kind is Kind.REPLY]
        return any(one.at >= started and one.data.get("automatic") for one in replies)

    if await poll_until(look, bool, STEP_TIMEOUT):
        return Remark("ok", f"a test response came back by {home} and is recorded")
    fix = (
        f"the MX record of {home} must lead to {tools.settings().server.hostname}, and there to a listener of kind "
        f'"inbound": relay trace {queue_id} and relay report untied --spam show how far it got'
    )
    return Remark("wrong", f"a test response to {home} did not come back within {STEP_TIMEOUT:g} s", fix)
