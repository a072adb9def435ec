"""The page of one message: did it arrive, was it read? If not, why, and when is the next try?"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.admin.requests import parse_place
from relay.clock import Clock
from relay.console.formats import in_words, minute, sentence
from relay.console.layout import Layout
from relay.console.mail_preview import MAX_OCTETS, POLICY, Link, header_of, visible_body
from relay.console.message_rows import last_failure, status_of, why_of
from relay.console.narrowing import shown_reasons
from relay.console.roles import Viewer, viewer_of
from relay.console.timeline import ShownEvent, Station, folded, shown, stations
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event
from relay.mail.canonical_address import canonical
from relay.mail.queue_id import is_queue_id
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.queue.ports import QueueAdminStore
from relay.queue.wait_reasons import Reason
from relay.reports.ports import Story, StoryStore
from relay.reports.serialize import place_text
from relay.rewrite.message import rewrite
from relay.rewrite.tokens import Keyring
from relay.suppression.ports import SuppressionStore

EVENTS = 200
"""Events on one page of a message."""

RECIPIENTS = 50
"""Recipients whose way is drawn; of more, those that need attention come first."""

_NEEDS = ("bounced", "held", "deferred", "dropped", "processed", "created", "delivered")


@dataclass(frozen=True, slots=True)
class RecipientWay:
    """One recipient with its way."""

    recipient: str
    status: str
    stations: Sequence[Station]
    why: str
    advice: str
    events: Sequence[ShownEvent]
    event_count: int
    is_copy: bool
    number: int = 0
    suppressed: str | None = None
    """Domain or identity whose mail the address does not get, "" for all mail; None: it is not suppressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePages:
    """The pages of a message, and the preview of its body."""

    layout: Layout
    stories: StoryStore
    store: QueueAdminStore
    explain: Callable[[Message, Entry], Sequence[Reason]]
    keyring: Callable[[], Keyring]
    suppressions: SuppressionStore
    retention: Callable[[], float]
    """Seconds for which messages are kept."""
    clock: Clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /messages/ID?after=: the way of a message, its events page by page."""
        queue_id, now = request.match_info["queue_id"].upper(), self.clock()
        after = parse_place(request.query)
        found = await self.stories.story_page(queue_id, after, EVENTS) if is_queue_id(queue_id) else None
        if found is None or not viewer_of(request).sees(found[0].message.policy.domain):
            text = "It may be older than the messages that are kept, or the address was mistyped."
            return await self.layout.error(request, 404, "There is no such message", text, state="off")
        story, page = found
        content = await self.store.content(queue_id) if story.message.size <= MAX_OCTETS else None
        # Of one recipient all events come, page by page; of several the first and last of each kind.
        events = page.events if len(story.entries) == 1 else story.events
        viewer = viewer_of(request)
        ways = [self._way(story, entry, events, now, viewer) for entry in _by_need(story)[:RECIPIENTS]]
        if viewer.may("SUPPORT"):
            ways = await self._with_suppressions(story.message, ways, now)
        state, verdict = _verdict(story, now)
        return await self.layout.page(
            request,
            "message.html",
            title=story.message.subject or queue_id,
            message=story.message,
            state=state,
            verdict=verdict,
            ways=ways,
            more_recipients=max(len(story.entries) - RECIPIENTS, 0),
            next_events=place_text(page.next) if page.next else "",
            header=header_of(content) if content is not None else "",
            links=await asyncio.to_thread(self._links, story.message, content) if content is not None else None,
            has_content=content is not None,
            kept_until=story.message.created_at + self.retention(),
        )

    async def _with_suppressions(
        self, message: Message, ways: Sequence[RecipientWay], now: float
    ) -> list[RecipientWay]:
        addresses, policy = [way.recipient for way in ways], message.policy
        found = await self.suppressions.suppressed(addresses, policy.domain, now, policy.identity)
        rows = {way.recipient: found.get(canonical(way.recipient)) for way in ways}
        return [replace(way, suppressed=row.domain) if (row := rows[way.recipient]) else way for way in ways]

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """GET /messages/ID/preview: the body of a stored mail, for a frame in a sandbox."""
        queue_id = request.match_info["queue_id"].upper()
        found = await self.stories.story_page(queue_id, None, 1) if is_queue_id(queue_id) else None
        is_shown = found is not None and viewer_of(request).sees(found[0].message.policy.domain)
        content = await self.store.content(queue_id) if is_shown else None
        if content is None or len(content) > MAX_OCTETS:
            raise web.HTTPNotFound(text="The mail is not kept any more.\n")
        text = await asyncio.to_thread(visible_body, content)
        headers = {"Content-Security-Policy": POLICY}
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)

    def _way(self, story: Story, entry: Entry, events: Sequence[Event], now: float, viewer: Viewer) -> RecipientWay:
        status, own = status_of(story, entry), [one for one in events if one.number == entry.number]
        failure = last_failure(story, entry) if status in ("bounced", "deferred") else None
        about = CATEGORIES.get(str(failure.data.get("category", ""))) if failure else None
        return RecipientWay(
            recipient=entry.recipient,
            status=status,
            stations=stations(story, entry, now),
            why=about.title if about else why_of(story, entry),
            advice=" ".join([*(about.guidance if about else ()), *self._wait(story.message, entry, now, viewer)]),
            events=folded([shown(one, now) for one in own]),
            event_count=len(own),
            is_copy=entry.number in story.message.policy.copies,
            number=entry.number,
        )

    def _wait(self, message: Message, entry: Entry, now: float, viewer: Viewer) -> Iterator[str]:
        """Yield why a recipient waits, and how long it may."""
        if entry.is_final:
            return
        for reason in shown_reasons(self.explain(message, entry), viewer):
            until = f" until {minute(reason.until, now)}" if now < reason.until < 1e12 else ""
            yield sentence(f"{reason.text}{until}")
        yield f"Trying goes on until {minute(entry.expires_at, now)}."

    def _links(self, message: Message, content: bytes) -> Sequence[Link]:
        tracking = message.policy.tracking
        if tracking is None:
            return ()
        rewritten = rewrite(content, tracking, self.keyring(), message.queue_id, 0)
        unique = {(one.target, one.tracked): Link(one.target, one.tracked, one.reason) for one in rewritten.links}
        return list(unique.values())


def _by_need(story: Story) -> Sequence[Entry]:
    """Return the recipients, those that need attention first, the copies last."""
    copies = story.message.policy.copies
    order = {name: place for place, name in enumerate(_NEEDS)}
    return sorted(story.entries, key=lambda one: (one.number in copies, order[status_of(story, one)], one.number))


def _verdict(story: Story, now: float) -> tuple[str, str]:
    """Return the state of a message and a sentence about its recipients."""
    entries = [one for one in story.entries if one.number not in story.message.policy.copies]
    groups: dict[str, list[Entry]] = {}
    for one in entries:
        groups.setdefault(status_of(story, one), []).append(one)
    have = len(groups.get("delivered", ()))
    if have == len(entries) and entries:
        return "ok", "It was delivered." if have == 1 else f"All {in_words(have)} recipients have it."
    many = len(entries) > 1
    parts = [f"{in_words(have)} of {in_words(len(entries))} {'has' if have == 1 else 'have'} it"] if many else []
    parts += [_part(story, status, found, now, many=many) for status, found in groups.items() if status != "delivered"]
    state = "bad" if {"bounced"} & groups.keys() else "off" if groups.keys() == {"dropped"} else "wait"
    return state, " ".join(map(sentence, parts))


_WORDS = {
    "bounced": ("bounced", "bounced"),
    "dropped": ("was dropped", "were dropped"),
    "held": ("is held", "are held"),
    "deferred": ("waits for the next try", "wait for the next try"),
    "processed": ("is being sent", "are being sent"),
    "created": ("waits for its first try", "wait for their first try"),
}


def _part(story: Story, status: str, found: Sequence[Entry], now: float, *, many: bool) -> str:
    """Return what holds for the recipients with one status."""
    word = _WORDS[status][len(found) > 1]
    subject = in_words(len(found)) if many else "it"
    whys = {why for one in found if (why := why_of(story, one))}
    why = f": {whys.pop()}" if len(whys) == 1 else ""
    due = min((max(one.next_attempt_at, one.release_at) for one in found), default=0.0)
    when = f", next try at {minute(due, now)}" if status == "deferred" and due > now else ""
    return f"{subject} {word}{why}{when}"
