"""The list of messages: did it arrive, was it read?"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.clock import Clock
from relay.config.settings import Settings
from relay.console.csv_export import Row, csv_answer
from relay.console.figures import DayFigures
from relay.console.formats import counted, minute, number
from relay.console.layout import Layout
from relay.console.message_filters import (
    STATUSES,
    FilterError,
    Filters,
    category_options,
    read_filters,
    span_options,
)
from relay.console.message_rows import message_row, status_of, why_of
from relay.console.narrowing import providers_of
from relay.console.page_urls import page_url
from relay.console.roles import Viewer, viewer_of
from relay.mail.lane import DIRECT
from relay.mail.queue_id import LENGTH, is_queue_id, time_of
from relay.reports.ports import MessageQuery, Story, StoryStore
from relay.reports.search import Found, SearchStore

PAGE = 50
"""Messages of a page."""

_AT_ONCE = 200
"""Messages that are read at once for a file."""

COLUMNS = (
    *("accepted_at", "status", "recipient", "from", "subject", "campaign", "tags", "metadata"),
    *("attempts", "why", "reply", "provider", "queue_id", "message_id"),
)
"""Fields of a row of the file: one for each recipient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesPage:
    """GET /messages and /messages.csv."""

    layout: Layout
    settings: Callable[[], Settings]
    stories: StoryStore
    searches: SearchStore
    figures: Callable[[tuple[str, ...]], Awaitable[DayFigures]]
    """Returns the figures of the last 24 hours, of some sending domains or of all mail."""
    waiting: Callable[[], Awaitable[int]]
    clock: Clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /messages?q=&status=&…&before=: the messages that match, newest first; the page of the only one."""
        filters, now, viewer = self._filters(request), self.clock(), viewer_of(request)
        if (exact := await self._exact(filters.given["q"], viewer)) is not None:
            raise web.HTTPFound(f"/messages/{exact}")
        found = await self.searches.search(filters.search)
        first_page = not filters.search.before
        if first_page and filters.is_narrowed and len(found.stories) == 1 and not found.next:
            raise web.HTTPFound(f"/messages/{found.stories[0].message.queue_id}")
        return await self.layout.page(
            request,
            "messages.html",
            title="Messages",
            rows=[message_row(one) for one in found.stories],
            filters=filters.given,
            is_narrowed=filters.is_narrowed,
            has_advanced=filters.has_advanced,
            about=await self._about(filters, viewer),
            chips=await self._chips(filters, viewer),
            spans=span_options(),
            categories=category_options(),
            providers=[("", "Any"), *((name, name) for name in self._providers(viewer))],
            newest="" if first_page else page_url("/messages", filters.given),
            older=page_url("/messages", filters.given, before=found.next) if found.next else "",
            reached=_reached(found, now),
            export=page_url("/messages.csv", filters.given),
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /messages.csv: a row for each recipient of all messages that match."""
        search = replace(self._filters(request).search, before="", limit=_AT_ONCE)

        async def pages() -> AsyncIterator[Iterable[Row]]:
            following = ""
            while True:
                found = await self.searches.search(replace(search, before=following))
                yield [row for story in found.stories for row in _csv_rows(story)]
                if not (following := found.next):
                    return

        return await csv_answer(request, "messages", COLUMNS, pages())

    def _filters(self, request: web.Request) -> Filters:
        try:
            filters = read_filters(request.query, self.clock(), PAGE)
        except FilterError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return replace(filters, search=replace(filters.search, domains=viewer_of(request).domains))

    async def _exact(self, query: str, viewer: Viewer) -> str | None:
        """Return the queue id of the message that a queue id or Message-ID names, None if there is none."""
        if is_queue_id(query.upper()):
            found = await self.stories.stories(MessageQuery(queue_id=query.upper(), limit=1))
        elif "@" in query:
            found = await self.stories.stories(MessageQuery(message_id=query, limit=1))
        else:
            return None
        return found[0].message.queue_id if found and viewer.sees(found[0].message.policy.domain) else None

    async def _about(self, filters: Filters, viewer: Viewer) -> str:
        """Return the line below the heading."""
        if filters.given["q"]:
            return f"Found for {filters.given['q']}"
        if filters.is_narrowed:
            return "What matches the filters, newest first"
        return f"{counted((await self.figures(viewer.domains)).accepted, 'recipient')} in the last 24 hours"

    async def _chips(self, filters: Filters, viewer: Viewer) -> Sequence[tuple[str, str, bool]]:
        """Return the links that narrow the list by status, with the numbers of the last 24 hours."""
        counts: dict[str, int] = {}
        if not filters.is_narrowed and filters.given["span"] in ("", "day"):
            figures = await self.figures(viewer.domains)
            counts = {"delivered": figures.delivered, "bounced": figures.bounced, "dropped": figures.dropped}
            counts |= {} if viewer.domains else {"waiting": await self.waiting()}
        return [
            (
                page_url("/messages", filters.given, status=value),
                f"{word} {number(counts[value])}" if value in counts else word,
                filters.given["status"] == value,
            )
            for value, (word, _) in STATUSES.items()
        ]

    def _providers(self, viewer: Viewer) -> Sequence[str]:
        if viewer.domains:
            return sorted(providers_of(self.settings(), viewer))
        return [DIRECT, *(one.name for one in self.settings().providers)]


def _reached(found: Found, now: float) -> str:
    """Return how far a search came that stopped before it had a page."""
    reached = found.next[:LENGTH]
    if not found.is_cut or not is_queue_id(reached):
        return ""
    return f"Searched back to {minute(time_of(reached), now)}."


def _csv_rows(story: Story) -> Iterable[Row]:
    message = story.message
    for entry in story.entries:
        yield (
            *(f"{message.created_at:.3f}", status_of(story, entry), entry.recipient, message.header_from),
            *(message.subject, message.campaign, " ".join(message.tags)),
            " ".join(f"{key}={value}" for key, value in message.metadata.items()),
            *(entry.attempts, why_of(story, entry), str(entry.last_reply or ""), message.policy.provider),
            *(message.queue_id, message.message_id),
        )
