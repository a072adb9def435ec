"""The route of `relay why`: what decides when mail leaves."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from aiohttp import web

from relay.admin.requests import APPLICATION, reject_unknown_parameters
from relay.mail.canonical_address import canonical, canonical_domain
from relay.mail.lane import DIRECT, lane_of
from relay.mail.queue_id import is_queue_id
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.operator_actions import is_held_by_application
from relay.queue.ports import EntryQuery, QueueAdminStore
from relay.queue.routing import provider_of
from relay.queue.wait_reasons import Reason, Servers
from relay.reports.serialize import JsonObject, listing_json, time_json
from relay.reports.sites import SiteReport

MAX_ENTRIES = 1000
"""Entries that one answer explains, at most."""

MAX_LANES = 3
"""Lanes whose servers one answer has, at most."""

_OPEN = (State.WAITING, State.HELD, State.ACTIVE)

_EVERY = tuple(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReasonRoutes:
    """Explains why mail waits."""

    store: QueueAdminStore
    explain: Callable[[Message, Entry], Sequence[Reason]]
    sites: Callable[[], Awaitable[Sequence[SiteReport]]]
    servers: Callable[[str], Awaitable[Servers]]

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/why/{target:.+}", self.why)]

    async def why(self, request: web.Request) -> web.Response:
        """GET /why/TARGET?domain=&identity=: the entries with their reasons, the sites and servers that it concerns.

        An application gets nothing about sites and providers, which other senders use too.
        """
        reject_unknown_parameters(request.query, ("domain", "identity"))
        target, is_own = request.match_info["target"].strip(), APPLICATION in request
        domain = canonical_domain(request.query.get("domain", ""))
        identity = canonical(request.query.get("identity", ""))
        sites = await self.sites()
        kind, queries, named = _parse(target, sites)
        queries = [replace(one, domain=domain, identity=identity) for one in queries]
        pages = [await self.store.entries(replace(query, limit=query.limit + 1)) for query in queries]
        found = [pair for query, page in zip(queries, pages, strict=True) for pair in page[: query.limit]][:MAX_ENTRIES]
        more = kind != "entry" and len(found) < sum(map(len, pages))
        if not found and kind in ("entry", "message"):
            raise web.HTTPNotFound(text=f"there is no message {target}")

        explained = [(message, entry, self._reasons(message, entry, is_own=is_own)) for message, entry in found]
        lanes = {entry.lane for _, entry in found} | ({query.lane for query in queries} if kind == "domain" else set())
        waiting = {entry.lane for _, entry in found if not entry.is_final}
        asked = [] if named else sorted(waiting or (lanes if kind == "domain" else ()))[:MAX_LANES]
        concerned = named or [one for one in sites if not lanes.isdisjoint(one.lanes)]
        if is_own:
            asked, concerned = [one for one in asked if provider_of(one) == DIRECT], []
        causes = Counter(reasons[0].cause for _, _, reasons in explained if reasons)
        return web.json_response(
            {
                "target": target,
                "kind": kind,
                "entries": [_entry_json(*one) for one in explained],
                "more": more,
                "causes": dict(causes.most_common()),
                "sites": [one.as_json() for one in concerned],
                "servers": [asdict(await self.servers(lane)) for lane in asked],
            }
        )

    def _reasons(self, message: Message, entry: Entry, *, is_own: bool) -> Sequence[Reason]:
        found = self.explain(message, entry)
        return [_for_application(one, entry) for one in found] if is_own else found


def _parse(target: str, sites: Sequence[SiteReport]) -> tuple[str, Sequence[EntryQuery], Sequence[SiteReport]]:
    """Return the kind of a target, the queries of its entries, and the sites of that name.

    Addresses may be in angle brackets, and domains be lanes ("mx:example.net"): so they are in logs and lists.
    """
    queue_id, _, number = target.partition("/")
    if is_queue_id(queue_id.upper()):
        query = EntryQuery(queue_id=queue_id.upper(), states=_EVERY, limit=MAX_ENTRIES)
        if number.isascii() and number.isdigit():
            place = queue_id.upper(), int(number) - 1
            return "entry", [replace(query, after=place, limit=1)], ()
        return "message", [query], ()
    if target.startswith("provider:"):
        return "provider", [EntryQuery(lane=target, states=_OPEN, limit=MAX_ENTRIES)], ()
    if "@" in target:
        address = target.removeprefix("<").removesuffix(">")
        return "recipient", [EntryQuery(recipient=address, states=_EVERY, limit=MAX_ENTRIES)], ()
    named = [one for one in sites if one.name == target.lower()]
    if named:
        each = max(1, MAX_ENTRIES // max(1, len(named[0].lanes)))
        return "site", [EntryQuery(lane=lane, states=_OPEN, limit=each) for lane in named[0].lanes], named
    lane = lane_of("direct", f"x@{target.lower().removeprefix('mx:')}")
    return "domain", [EntryQuery(lane=lane, states=_OPEN, limit=MAX_ENTRIES)], ()


_REMEDIES: Mapping[str, str] = {
    "paused": "POST /api/v1/pauses/resume, if an application paused it; else an operator must resume it",
    "release time": "wait; an operator can raise the limit",
    "back-off": "POST /api/v1/queue/flush",
}
"""What an application can do about a cause."""


def _for_application(reason: Reason, entry: Entry) -> Reason:
    """Return a reason as an application reads it, with what it can do itself."""
    remedy = _REMEDIES.get(reason.cause, "")
    if reason.cause == "held":
        ours = is_held_by_application(entry)
        remedy = "POST /api/v1/queue/release" if ours else "an operator must release it"
    return replace(reason, text=reason.for_sender, remedy=remedy)


def _entry_json(message: Message, entry: Entry, reasons: Sequence[Reason]) -> JsonObject:
    """Return an entry with its reasons, and the time of its next attempt while it waits."""
    leaves = [entry.next_attempt_at, *(one.until for one in reasons)]
    return {
        **listing_json(message, entry),
        "expires_at": time_json(entry.expires_at),
        "leaves_at": time_json(max(leaves)) if entry.state is State.WAITING else None,
        "reasons": [
            {"cause": one.cause, "text": one.text, "until": time_json(one.until), "remedy": one.remedy}
            for one in reasons
        ],
    }
