"""The tracking step: pixel, link and response of the test mail come back by the public ways, and are seen recorded."""

from relay.config.settings import Settings, Tracking
from relay.events.event import Event, Kind
from relay.mail.address import domain_of
from relay.reports.ports import Story
from relay.rewrite.cc_address import cc_address
from relay.rewrite.tokens import Keyring, Token, sign_address_token, sign_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.tracker.canary import Canary
from relay.verification.fetch import AGENT, Place, fetch
from relay.verification.mails import response_mail
from relay.verification.result import Remark, Result, failed, judged
from relay.verification.sending import test_link
from relay.verification.tools import PATIENCE, Tools, look_until

RECORDED = 15.0
"""Seconds until what was fetched must be in the store: a spool is emptied within five."""


async def try_tracking(tools: Tools, identity: str) -> Result:
    """Fetch what the last test mail of the identity carries, answer it, and look for that in its story."""
    sent = next((one for one in await tools.store.verifications(identity) if one.step == "sending"), None)
    story = await tools.story(sent.queue_id) if sent and sent.queue_id else None
    if story is None:
        fix = f"relay identity verify {identity} --step sending"
        return failed("tracking", "there is no test mail yet whose tracking could be tried", fix)
    remarks = [*await _readers_ways(tools, identity, story), *await _response(tools, identity, story)]
    return judged("tracking", tuple(remarks), story.message.queue_id)


async def _readers_ways(tools: Tools, identity: str, story: Story) -> list[Remark]:
    """Fetch pixel and link and look for the events."""
    settings, domain = tools.settings(), domain_of(identity)
    switches = settings.tracking_for(identity)
    if not (switches.opens or switches.clicks):
        return [Remark("ok", f"opens and clicks are not tracked for {domain}: the configuration says so")]
    place = Place(switches.base_url, settings.tracker.address, settings.server.hostname)
    started, queue_id = tools.clock(), story.message.queue_id
    carried = _carried(tools.keyring(), switches, queue_id, identity)
    remarks = await fetch(tools.resolver(), place, carried, pixel=switches.opens, link=switches.clicks)
    if any(one.status == "wrong" for one in remarks):
        return remarks
    wanted = {kind for kind, on in ((Kind.OPEN, switches.opens), (Kind.CLICK, switches.clicks)) if on}

    async def look() -> set[Kind]:
        seen = await tools.story(queue_id)
        return {event.kind for event in (seen.events if seen else ()) if _is_ours(event, started)}

    missing = wanted - await look_until(look, lambda seen: wanted <= seen, RECORDED)
    for kind in sorted(wanted):
        if kind in missing:
            fix = f"the tracker behind {place.base_url} must be of this relay, or its spool must be carried here"
            remarks.append(Remark("wrong", f"the {kind} was answered, but not recorded", fix))
        else:
            remarks.append(Remark("ok", f"the {kind} is recorded, marked as a test"))
    return remarks


def _carried(keyring: Keyring, switches: Tracking, queue_id: str, identity: str) -> Canary:
    """Return pixel and link as the test mail carries them to its first recipient."""
    target = test_link(identity)
    link = sign_token(keyring, Token(TokenKind.CLICK, queue_id, 0, target))
    pixel = sign_token(keyring, Token(TokenKind.OPEN, queue_id, 0))
    return Canary(f"{switches.base_url}/c/{link}", target, f"{switches.base_url}/o/{pixel}")


def _is_ours(event: Event, started: float) -> bool:
    """Tell whether an event came of what was just fetched, and not of a reader."""
    return event.at >= started and event.data.get("user_agent") == AGENT


async def _response(tools: Tools, identity: str, story: Story) -> list[Remark]:
    """Answer the test mail by the address responses come in by, and look for the reply in its story."""
    settings = tools.settings()
    to = response_address(settings, tools.keyring(), identity, story.message.queue_id)
    if not to:
        return []
    home, started = domain_of(to), tools.clock()
    queue_id = tools.new_id(started)
    tools.forget_dns()
    content = response_mail(queue_id, identity, to, story.message.message_id)
    reply = await tools.send(queue_id, identity, (to,), content)
    if reply.code != 250:
        return [Remark("wrong", f"the relay itself refused the test response: {reply}")]

    async def look() -> bool:
        seen = await tools.story(story.message.queue_id)
        replies = [one for one in (seen.events if seen else ()) if one.kind is Kind.REPLY]
        return any(one.at >= started and one.data.get("automatic") for one in replies)

    if await look_until(look, bool, PATIENCE):
        return [Remark("ok", f"a test response came back by {home} and is recorded")]
    fix = (
        f"the MX record of {home} must lead to {settings.server.hostname}, and there to a listener of kind "
        f'"inbound": relay trace {queue_id} tells how far it got'
    )
    return [Remark("wrong", f"a test response to {home} did not come back within {PATIENCE:g} s", fix)]


def response_address(settings: Settings, keyring: Keyring, identity: str, queue_id: str) -> str:
    """Return the address by which answers to that mail come in: its reply address, else the identity's own for copies.

    "" when answers do not come to this relay.
    """
    reply_domain = settings.domain_for(identity).reply_domain
    if not reply_domain or not any(listener.kind == "inbound" for listener in settings.listeners):
        return ""
    known = settings.identity_for(identity)
    if known is None or known.reply_tracking:
        return f"{sign_address_token(keyring, Token(TokenKind.REPLY, queue_id, 0))}@{reply_domain}"
    return cc_address(keyring, identity, reply_domain)
