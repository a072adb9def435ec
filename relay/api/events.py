"""GET /events: the feed, page by page as JSON, or as a stream that goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ConfigDict, Field

from relay.admin.requests import time_parameter
from relay.api.access import caller_of
from relay.api.event_stream import event_chunk, follow, position_chunk
from relay.api.operations import PREFIX, Operation, Parameter, Route
from relay.events.event import Kind
from relay.events.ports import StoreError
from relay.mail.canonical_address import canonical
from relay.webhooks.bodies import EventBody
from relay.webhooks.build import build
from relay.webhooks.feed import EventFeed, Position, PositionError, parse_position
from relay.webhooks.filters import Filter, restricted, restricted_to_domains

MAX_EVENTS = 1000
"""Events of one answer, at most."""

PAGE = 500
"""Events read at once."""

SCANNED = 5000
"""Events that one request reads, at most: a filter may let few pass."""

MAX_STREAMS = 30
"""Streams at a time, at most."""

MAX_STREAMS_EACH = 10
"""Streams of one credential, at most."""

_TEXT = {"type": "string"}

_AFTER = {**_TEXT, "pattern": "^(now|[0-9]{1,19}-[0-9]{1,19}|)$"}

_COUNT = {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS, "default": 100}

PARAMETERS = (
    Parameter(
        "after", "Position of the last event you have; `now`: new events only. Absent: all that are kept", _AFTER
    ),
    Parameter("since", "Instead of `after`: events from this time on (RFC 3339)", {**_TEXT, "format": "date-time"}),
    Parameter("limit", "Events of the answer, at most", _COUNT),
    Parameter("kinds", "Kinds of events, separated by commas", {**_TEXT, "examples": ["delivered,bounced,open"]}),
    Parameter("domain", "Sending domain", _TEXT, repeats=True),
    Parameter("identity", "Identity", _TEXT, repeats=True),
    Parameter("campaign", "Name of the campaign", _TEXT, repeats=True),
    Parameter("tag", "Tag", _TEXT, repeats=True),
    Parameter("type", "Kind of mail", {**_TEXT, "enum": ["any", "transactional", "campaign"]}),
    Parameter("machines", "`none`: no requests of machines and proxies", {**_TEXT, "enum": ["labelled", "none"]}),
    Parameter("subject", "`yes` includes the subject", {**_TEXT, "enum": ["yes", "no"]}),
)


class EventPage(BaseModel):
    """A page of the feed."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    events: tuple[EventBody, ...]
    next: str = Field(description="The parameter `after` of the next request, also at the end", examples=["0-4711"])
    more: bool = Field(description="Whether there are more events already")


EVENTS = Operation(
    method="get",
    path=f"{PREFIX}/events",
    summary="Events in the order of the feed, after a position",
    scope="read",
    parameters=PARAMETERS,
    answer=EventPage,
    streams=True,
)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """The parameters of a request. `after` None: from `since` in Unix seconds, inf for new events only."""

    after: Position | None
    since: float
    limit: int
    filter: Filter
    subject: bool


@dataclass(slots=True)
class EventRoutes:
    """The feed of events.

    `listening` gives an event that is set whenever events were stored, while its context is open.
    """

    feed: EventFeed
    listening: Callable[[], "asyncio.Event"]
    forget: Callable[["asyncio.Event"], None]
    streams: dict["asyncio.Task[Any]", str] = field(default_factory=dict, init=False)
    """Tasks of the streams that are open, with their credentials."""

    def table(self) -> Sequence[web.RouteDef]:
        """Return the route of the admin socket."""
        return [web.get("/events", self.events)]

    def routes(self) -> Sequence[Route]:
        """Return the route of the API."""
        return [Route(EVENTS, self.events)]

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET /events: a page as JSON, or a stream if the client accepts `text/event-stream`."""
        caller = caller_of(request)
        query = parse_query(request.query, request.headers)
        if caller.domains is not None:
            query = replace(query, filter=restricted_to_domains(query.filter, caller.domains))
        elif caller.identities is not None:
            query = replace(query, filter=restricted(query.filter, caller.identities))
        try:
            if "text/event-stream" in request.headers.get("Accept", ""):
                return await self._stream(request, query)
            return web.json_response(body=await self._page(query), content_type="application/json")
        except PositionError as error:
            raise web.HTTPGone(text=f"{error}; begin without after, and ignore ids you have seen") from None

    async def _start(self, query: EventQuery) -> Position:
        if query.after is not None:
            return query.after
        if query.since == inf:
            return await self.feed.end()
        return await self.feed.since(query.since) if query.since else Position()

    async def _page(self, query: EventQuery) -> bytes:
        """Return the next events that pass, after at most SCANNED others."""
        after, scanned, more = await self._start(query), 0, True
        found: list[EventBody] = []
        while more and len(found) < query.limit and scanned < SCANNED:
            page = await self.feed.read(after, PAGE)
            after, more, scanned = page.end, page.is_full, scanned + len(page.events)
            for one in filter(query.filter.passes, page.events):
                if len(found) == query.limit:
                    more = True
                    break
                after = one.position
                found.append(build(one, subject=query.subject).body)
            else:
                after = page.end
        answer = EventPage(events=tuple(found), next=str(after), more=more)
        return answer.model_dump_json(exclude_unset=True).encode()

    async def _stream(self, request: web.Request, query: EventQuery) -> web.StreamResponse:
        if len(self.streams) >= MAX_STREAMS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_STREAMS} streams are open", headers={"Retry-After": "30"})
        credential = caller_of(request).credential
        if credential and list(self.streams.values()).count(credential) >= MAX_STREAMS_EACH:
            text = f"{MAX_STREAMS_EACH} streams of {credential} are open: end one, or read pages"
            raise web.HTTPTooManyRequests(text=text, headers={"Retry-After": "30"})
        start = await self._start(query)
        await self.feed.read(start, 1)  # An unknown position is an answer of its own.
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await answer.prepare(request)
        async with self._counted(credential) as woken:
            try:
                async with aclosing(
                    follow(self.feed, start, query.filter.passes, partial(_is_gone, request), woken)
                ) as events:
                    async for position, one in events:
                        if one is None:
                            await answer.write(position_chunk(position))
                        else:
                            record = build(one, subject=query.subject)
                            await answer.write(event_chunk(position, record.type, record.body.encode()))
            except (StoreError, PositionError, ConnectionError):
                return answer  # The client connects again, with the last position.
        return answer

    @asynccontextmanager
    async def _counted(self, credential: str) -> AsyncIterator[asyncio.Event]:
        task, woken = asyncio.current_task(), self.listening()
        assert task is not None
        self.streams[task] = credential
        try:
            yield woken
        finally:
            self.forget(woken)
            del self.streams[task]

    async def close(self, _: web.Application) -> None:
        """End all streams: the server stops."""
        for task in self.streams:
            task.cancel()


def _is_gone(request: web.Request) -> bool:
    """Whether the client closed the connection."""
    return request.transport is None or request.transport.is_closing()


def parse_query(query: MultiMapping[str], headers: Mapping[str, str]) -> EventQuery:
    """Return the query of a request. Raises 400 with the name of the fault."""
    known = {parameter.name for parameter in PARAMETERS}
    if unknown := sorted(set(query) - known):
        raise web.HTTPBadRequest(text=f"unknown parameter {unknown[0]}; known are {', '.join(sorted(known))}")
    after = query.get("after", "") or headers.get("Last-Event-ID", "")
    try:
        position = parse_position(after) if after and after != "now" else None
    except PositionError as error:
        raise web.HTTPBadRequest(text=f"after: {error}") from None
    limit = query.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= MAX_EVENTS):
        raise web.HTTPBadRequest(text=f"limit must be a number from 1 to {MAX_EVENTS}")
    since = inf if after == "now" else time_parameter(query, "since")
    found = replace(_filter(query), since=0.0 if since == inf else since)
    return EventQuery(position, since, int(limit), found, _choice(query, "subject", "no") == "yes")


def _filter(query: MultiMapping[str]) -> Filter:
    try:
        kinds = frozenset(Kind(one.strip()).value for one in query.get("kinds", "").split(",") if one.strip())
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"kinds: {error}; known are {', '.join(Kind)}") from None
    made: dict[str, Any] = {"kinds": kinds} if kinds else {}
    return Filter(
        **made,
        domains=frozenset(query.getall("domain", [])),
        identities=frozenset(map(canonical, query.getall("identity", []))),
        campaigns=frozenset(query.getall("campaign", [])),
        tags=frozenset(query.getall("tag", [])),
        type=_choice(query, "type", "any"),
        machines=_choice(query, "machines", "labelled") == "labelled",
    )


def _choice(query: MultiMapping[str], name: str, default: str) -> str:
    """Return the value of a parameter that has a list of values."""
    allowed = next(list(one.schema["enum"]) for one in PARAMETERS if one.name == name)
    value = query.get(name, default)
    if value not in allowed:
        raise web.HTTPBadRequest(text=f"{name} must be one of {', '.join(allowed)}")
    return value
