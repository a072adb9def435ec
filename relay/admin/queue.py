"""The routes of the queue and of timelines."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.admin.key_audit import audit_change
from relay.admin.requests import (
    APPLICATION,
    KEY,
    Before,
    before_text,
    parse_after,
    parse_before,
    parse_limit,
    parse_place,
    reject_unknown_parameters,
)
from relay.clock import Clock
from relay.events.ports import Publish
from relay.limits.ports import LimitStore
from relay.mail.queue_id import is_queue_id
from relay.queue.changes import EntryChange, ReportsOf
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.operator_actions import (
    OPERATOR,
    Actor,
    actor_of,
    bounce,
    bounce_event,
    delete,
    deletion_event,
    flush,
    hold_by,
    release,
)
from relay.queue.ports import ChangedEntries, EntryQuery, QueueAdminStore
from relay.reports.ports import MessageQuery, Story, StoryStore
from relay.reports.serialize import listing_json, story_json

ACTIONS = ("flush", "hold", "release", "delete", "bounce")
"""What an operator can do with queue entries."""

EVENTS = 1000
"""Events of a message in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRoutes:
    """The routes of queued messages: listing, timeline, operator actions."""

    store: QueueAdminStore
    stories: StoryStore
    limits: LimitStore
    clock: Clock
    publish: Publish
    wake: Callable[[], None]
    """Wakes the runner to claim due entries."""
    slots_released: Callable[[], None]
    """Called after slots were released: waiting entries may take them."""
    bounce_reports: ReportsOf | None = None
    """Composes the notifications about entries that an operator bounced."""

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/queue", self.queue),
            web.get("/queue/{queue_id}", self.message),
            web.post(f"/queue/{{action:{'|'.join(ACTIONS)}}}", self.change),
            web.get("/trace/{key:.+}", self.trace),
        ]

    async def queue(self, request: web.Request) -> web.Response:
        """GET /queue?…: the matching entries; without a state those that are not final.

        `next` is the `after` of the next page, null when no more entries match.
        """
        query = _entry_query(request.query)
        found = await self.store.entries(query)
        last = found[-1][1] if len(found) == query.limit else None
        following = f"{last.queue_id}/{last.number}" if last else None
        entries = [listing_json(message, entry) for message, entry in found]
        return web.json_response({"entries": entries, "next": following})

    async def message(self, request: web.Request) -> web.Response:
        """GET /queue/ID: the message with its entries, events and the original header."""
        queue_id = request.match_info["queue_id"]
        found = await self.stories.story_page(queue_id, None, EVENTS)
        if found is None:
            raise web.HTTPNotFound(text=f"there is no message {queue_id}")
        content = await self.store.content(queue_id)
        header = None if content is None else content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        return web.json_response({**story_json(*found), "header": header})

    async def change(self, request: web.Request) -> web.Response:
        """POST /queue/ACTION?…: change the matching entries, and return the changed ones.

        `next` is the `after` of the next page, null when no more entries match.
        """
        action, key = request.match_info["action"], request.get(KEY, "")
        actor = actor_of(key, request.get(APPLICATION, ""))
        done = await self.apply(action, _entry_query(request.query), actor)
        await self.note(action, request, done)
        following = "{}/{}".format(*done.rest.after) if done.rest else None
        entries = [listing_json(message, entry) for message, entry in done.entries]
        return web.json_response({"entries": entries, "next": following})

    async def note(self, action: str, request: web.Request, done: ChangedEntries) -> None:
        """Record in the audit what a key changed. Raises StoreError."""
        if done.entries:
            ids = dict.fromkeys(entry.queue_id for _, entry in done.entries)
            count = len(done.entries)
            after = f"{count} {'recipient' if count == 1 else 'recipients'}"
            await audit_change(request, f"queue.{action}", " ".join(ids), after=after)

    async def apply(self, action: str, query: EntryQuery, actor: Actor = OPERATOR) -> ChangedEntries:
        """Change the matching entries: flush, hold, release, delete or bounce. Raises StoreError."""
        now = self.clock()
        done = await self.store.change(query, _change(action, now, actor), self._reports(action))
        return await self._followed(action, done, now)

    async def apply_to(self, action: str, keys: Sequence[tuple[str, int]]) -> ChangedEntries:
        """Change the entries with these keys: flush, hold, release, delete or bounce. Raises StoreError."""
        now = self.clock()
        done = await self.store.change_keys(keys, _change(action, now), self._reports(action))
        return await self._followed(action, done, now)

    def _reports(self, action: str) -> ReportsOf | None:
        return self.bounce_reports if action == "bounce" else None

    async def _followed(self, action: str, done: ChangedEntries, now: float) -> ChangedEntries:
        """Do what follows from changed entries."""
        if action in _ENDING:
            made = _ENDING[action]
            self.publish([made(message, entry, now) for message, entry in done.entries])
            self.publish([event for report in done.reports for event in report.events])
            await self._release_slots(done.entries)
            self.slots_released()
        self.wake()
        return done

    async def trace(self, request: web.Request) -> web.Response:
        """GET /trace/KEY?before=&after=: the timelines by queue id, Message-ID or recipient, newest first.

        `next` is the `before` of the next page, null when there are no older ones. The events of a single message come
        in pages: `after` is the `next_events` of the page before. Of several messages the first and last events of each
        recipient and kind are returned.
        """
        reject_unknown_parameters(request.query, {"before", "after"})
        before, after = parse_before(request.query.get("before", "")), parse_place(request.query)
        stories = await find_stories(self.stories, request.match_info["key"], before)
        if len(stories) == 1 and before is None:
            found = await self.stories.story_page(stories[0].message.queue_id, after, EVENTS)
            return web.json_response({"stories": [story_json(*found)] if found else [], "next": None})
        last = stories[-1].message if len(stories) == MAX_STORIES else None
        following = before_text((last.created_at, last.queue_id)) if last else None
        return web.json_response({"stories": [story_json(story) for story in stories], "next": following})

    async def _release_slots(self, changed: Sequence[tuple[Message, Entry]]) -> None:
        """Release the slots of deleted entries in the rate limits.

        All messages at once, because a store batches concurrent calls into one transaction.
        """
        numbers: dict[str, list[int]] = {}
        for _, entry in changed:
            numbers.setdefault(entry.queue_id, []).append(entry.number)

        await asyncio.gather(*(self.limits.release(queue_id, cancelled) for queue_id, cancelled in numbers.items()))


_ENDING = {"delete": deletion_event, "bounce": bounce_event}
"""The event of an entry that an action ends."""


def _change(action: str, now: float, actor: Actor = OPERATOR) -> EntryChange:
    actions: dict[str, EntryChange] = {
        "hold": hold_by(actor),
        "release": release(now, actor),
        "flush": flush(now),
        "delete": delete(now, actor),
        "bounce": bounce(now, actor),
    }
    return actions[action]


MAX_STORIES = 100
"""Timelines of one response, at most: the newest."""


async def find_stories(store: StoryStore, key: str, before: Before | None = None) -> Sequence[Story]:
    """Return the newest messages with that queue id, Message-ID or recipient, at most MAX_STORIES."""
    if is_queue_id(key.upper()):
        return await store.stories(MessageQuery(queue_id=key.upper(), before=before))
    page = MessageQuery(before=before, limit=MAX_STORIES)
    by_message_id = await store.stories(replace(page, message_id=key))
    return by_message_id or await store.stories(replace(page, recipient=key))


_PARAMETERS = frozenset({"queue_id", "recipient", "lane", "domain", "identity", "state", "limit", "after"})


def _entry_query(query: Mapping[str, str]) -> EntryQuery:
    reject_unknown_parameters(query, _PARAMETERS)
    try:
        states = tuple(State(word) for word in query.get("state", "waiting,held,active").split(",") if word)
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    return EntryQuery(
        queue_id=query.get("queue_id", "").upper(),
        recipient=query.get("recipient", ""),
        lane=query.get("lane", ""),
        domain=query.get("domain", ""),
        identity=query.get("identity", ""),
        states=states,
        after=parse_after(query),
        limit=parse_limit(query),
    )
