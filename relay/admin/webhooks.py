"""The routes of webhooks: list, show, log, test, pause, resume, replay."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf

from aiohttp import web

from relay.admin.key_audit import audit_change
from relay.admin.requests import APPLICATION, OWNS, optional_json_body, parse_limit, reject_unknown_parameters
from relay.config.settings import Settings
from relay.config.webhooks import Webhook
from relay.events.event import Kind
from relay.mail.canonical_address import domain_of
from relay.reports.serialize import JsonObject, time_json
from relay.webhooks.control import Tested, UnknownWebhookError, WebhookControl, WebhookView
from relay.webhooks.ports import PAUSED_BY_OPERATOR, Failure
from relay.webhooks.report import PostLog

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class WebhookRoutes:
    """GET /webhooks, GET /webhooks/NAME and …/log; POST /webhooks/NAME/test, pause, resume and replay.

    For an application there are those only that post events of its own senders.
    """

    control: WebhookControl
    settings: Callable[[], Settings]

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/webhooks", self.listing),
            web.get("/webhooks/{name}", self._known(self.show)),
            web.get("/webhooks/{name}/log", self._known(self.log)),
            web.post("/webhooks/{name}/test", self._known(self.test)),
            web.post("/webhooks/{name}/pause", self._known(self.pause)),
            web.post("/webhooks/{name}/resume", self._known(self.resume)),
            web.post("/webhooks/{name}/replay", self._known(self.replay)),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """GET /webhooks: all webhooks with their state."""
        reject_unknown_parameters(request.query, ())
        found = [one for one in await self.control.views() if is_own(request, one.webhook)]
        return web.json_response({"webhooks": [view_json(one) for one in found]})

    async def show(self, request: web.Request) -> web.Response:
        """GET /webhooks/NAME: one webhook, with what is refused and counted."""
        return web.json_response(details_json(await self.control.view(request.match_info["name"])))

    async def log(self, request: web.Request) -> web.Response:
        """GET /webhooks/NAME/log: the last posts of this process; `failed`: events that are not delivered.

        `more` is true if there are more than `limit`.
        """
        reject_unknown_parameters(request.query, ("failed", "limit"))
        name, limit = request.match_info["name"], parse_limit(request.query)
        if request.query.get("failed"):
            rows = [failure_json(one) for one in await self.control.failures(name, limit + 1)]
        else:
            rows = [post_json(one) for one in await self.control.log(name, limit + 1)]
        return web.json_response({"posts": rows[:limit], "more": len(rows) > limit})

    async def test(self, request: web.Request) -> web.Response:
        """POST /webhooks/NAME/test: post a sample of each kind, or of `events`; return the answers."""
        body = await optional_json_body(request)
        name = request.match_info["name"]
        tested = await self.samples(name, _kinds(body.get("events", [])))
        await audit_change(
            request, "webhook.test", name, after=f"{sum(one.accepted for one in tested)} of {len(tested)} accepted"
        )
        return web.json_response({"answers": [tested_json(one) for one in tested]})

    async def samples(self, name: str, kinds: Sequence[Kind]) -> Sequence[Tested]:
        """Post a sample of each of these kinds to a webhook. Raises UnknownWebhookError and StoreError."""
        settings, webhook = self.settings(), self.control.webhook(name)
        own = (*webhook.domains, *map(domain_of, webhook.identities))
        domain = next(iter((*own, *settings.domains)), settings.server.hostname)
        return await self.control.test(name, kinds, domain)

    async def pause(self, request: web.Request) -> web.Response:
        """POST /webhooks/NAME/pause: post nothing until it is resumed."""
        application = request.get(APPLICATION)
        why = PAUSED_BY_OPERATOR if application is None else f"paused by the application {application}"
        name = request.match_info["name"]
        paused = await self.control.pause(name, why)
        await audit_change(request, "webhook.pause", name, after=why if paused else "it was paused before")
        return web.json_response({"paused": paused})

    async def resume(self, request: web.Request) -> web.Response:
        """POST /webhooks/NAME/resume: go on with what is kept; `{"from": "now"}`: with new events.

        An application ends no pause that an operator made.
        """
        body, name = await optional_json_body(request), request.match_info["name"]
        if body.get("from", "kept") not in ("kept", "now"):
            raise web.HTTPBadRequest(text='from must be "kept" or "now"')
        state = (await self.control.view(name)).state
        if APPLICATION in request and state is not None and state.paused_at and state.why == PAUSED_BY_OPERATOR:
            raise web.HTTPForbidden(text=f"{PAUSED_BY_OPERATOR}, who must resume it: relay webhook resume {name}")
        await self.control.resume(name, from_now=body.get("from") == "now")
        was = state.why if state is not None and state.paused_at else ""
        await audit_change(request, "webhook.resume", name, before=was, after=f"from {body.get('from', 'kept')}")
        return web.json_response({"resumed": True})

    async def replay(self, request: web.Request) -> web.Response:
        """POST /webhooks/NAME/replay: `{"since": …, "until": …}`, `{"queue_id": …}` or `{"failed": true}`."""
        body, name = await optional_json_body(request), request.match_info["name"]
        match body:
            case {"failed": True}:
                events = await self.control.replay_failed(name)
            case {"queue_id": str(queue_id)}:
                events = await self.control.replay_message(name, queue_id)
            case {"since": int() | float() as since}:
                until = body.get("until", inf)
                if not isinstance(until, int | float):
                    raise web.HTTPBadRequest(text="until must be Unix seconds")
                events = await self.control.replay(name, float(since), min(float(until), 1e12))
            case _:
                raise web.HTTPBadRequest(text='one of {"since": …}, {"queue_id": …} and {"failed": true} is needed')
        await audit_change(request, "webhook.replay", name, after=f"{events} events")
        return web.json_response({"events": events})

    def _known(self, handler: Handler) -> Handler:
        """Answer 404 with the known names for an unknown one, and for one of other senders."""

        async def answer(request: web.Request) -> web.Response:
            names = [name for name, one in self.control.webhooks().items() if is_own(request, one)]
            unknown = UnknownWebhookError(request.match_info["name"], names)
            if request.match_info["name"] not in names:
                raise web.HTTPNotFound(text=str(unknown))
            try:
                return await handler(request)
            except UnknownWebhookError:  # A reload removed it meanwhile. Its own text has the names of others too.
                raise web.HTTPNotFound(text=str(unknown)) from None

        return answer


def is_own(request: web.Request, webhook: Webhook) -> bool:
    """Whether all events that a webhook gets are of senders of the caller."""
    return are_own(request.get(OWNS), webhook.domains, webhook.identities)


def are_own(owns: Callable[[str], bool] | None, domains: object, identities: object) -> bool:
    """Whether events of these senders alone are of senders of the caller; `owns` None: all are."""
    if owns is None:
        return True
    lists = [one for one in (domains, identities) if isinstance(one, list | tuple) and one]
    return any(all(isinstance(name, str) and owns(name) for name in names) for names in lists)


def _kinds(events: object) -> Sequence[Kind]:
    if not isinstance(events, list) or not all(isinstance(one, str) for one in events):
        raise web.HTTPBadRequest(text='events must be a list such as ["bounced"]')
    try:
        return [Kind(one) for one in events] or list(Kind)
    except ValueError:
        known = ", ".join(kind.value for kind in Kind)
        raise web.HTTPBadRequest(text=f"events has an unknown name; known are {known}") from None


def view_json(view: WebhookView) -> JsonObject:
    """Return a webhook as one row."""
    state = view.state
    last = state.progress.last if state else None
    return {
        "name": view.webhook.name,
        "format": view.webhook.format,
        "host": view.webhook.host,
        "domains": list(view.webhook.domains),
        "identities": list(view.webhook.identities),
        "state": view.doing,
        "behind": view.behind,
        "lag": round(view.lag, 1),
        "waiting": view.waiting,
        "last": f"{last.status or ''} {last.text}".strip()[:60] if last else "",
        "last_at": time_json(last.at) if last else None,
        "stopped": sorted(state.progress.stopped) if state else [],
    }


def details_json(view: WebhookView) -> JsonObject:
    """Return a webhook with all that is known of it, except secrets."""
    state, webhook = view.state, view.webhook
    progress = state.progress if state else None
    return {
        **view_json(view),
        "events": list(webhook.events),
        "position": str(state.position) if state else None,
        "why": state.why if state else "",
        "paused_at": time_json(state.paused_at) if state else None,
        "current_at": time_json(state.current_at) if state else None,
        "failing_since": time_json(progress.failing_since) if progress else None,
        "next_at": time_json(progress.next_at) if progress else None,
        "accepted": progress.accepted if progress else 0,
        "accepted_at": time_json(progress.accepted_at) if progress else None,
        "given_up": progress.given_up if progress else 0,
        "skipped": progress.skipped if progress else 0,
        "refused": {
            name: {
                "count": one.count,
                "last_at": time_json(one.last_at),
                "status": one.status,
                "answer": one.answer,
                "stopped_at": time_json(one.stopped_at),
            }
            for name, one in (progress.refusals if progress else {}).items()
        },
        "replaying": state is not None and state.replay is not None,
    }


def post_json(post: PostLog) -> JsonObject:
    """Return one post."""
    return {
        "at": time_json(post.at),
        "result": post.result,
        "status": post.status,
        "ms": round(post.seconds * 1000),
        "type": post.type,
        "events": post.events,
        "recipient": post.recipient,
        "queue_id": post.queue_id,
        "id": post.event_id,
        "answer": post.text,
    }


def failure_json(one: Failure) -> JsonObject:
    """Return one event that is not delivered."""
    return {
        "at": time_json(one.first_at),
        "result": "waiting" if one.next_at else "given up",
        "status": one.status,
        "type": one.type,
        "recipient": one.recipient,
        "queue_id": one.queue_id,
        "id": one.event_id,
        "attempts": one.attempts,
        "next_at": time_json(one.next_at),
        "answer": one.answer,
    }


def tested_json(one: Tested) -> JsonObject:
    """Return the answer to a sample."""
    return {
        "type": one.type,
        "accepted": one.accepted,
        "status": one.response.status,
        "ms": round(one.response.seconds * 1000),
        "answer": one.response.text,
    }
