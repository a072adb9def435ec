"""One webhook: its state, its last posts, what failed, a test of its receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from relay.admin.webhooks import WebhookRoutes
from relay.console.formats import sentence
from relay.console.forms import form_of
from relay.console.layout import Layout
from relay.console.roles import viewer_of
from relay.console.webhook_list import TRIES_AGAIN, WebhookPages, WebhookRow
from relay.events.event import Kind
from relay.people.audit_trail import AuditTrail
from relay.webhooks.control import Tested, UnknownWebhookError

POSTS = 20
"""Posts and failures that are listed, at most."""

_RESULTS = {
    "accepted": ("ok", "Accepted"),
    "failed": ("wait", "Failed"),
    "refused": ("bad", "Refused"),
    "given up": ("bad", "Given up"),
    "waiting": ("wait", "Waits"),
}
"""Badges of results of posts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPage:
    """GET /webhooks/{name}, for everybody who reads."""

    layout: Layout
    pages: WebhookPages

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /webhooks/{name}."""
        return await self.answer(request)

    async def answer(self, request: web.Request, tested: Sequence[Tested] = ()) -> web.StreamResponse:
        """Answer with the page, and what a test found. Raises 404."""
        name, control = request.match_info["name"], self.pages.control
        try:
            row = await self.pages.row(await control.view(name), POSTS)
            posts = await control.log(name, POSTS)
        except UnknownWebhookError:
            raise web.HTTPNotFound(text=f"There is no webhook {name[:80]}.") from None
        return await self.layout.page(
            request,
            "webhook.html",
            title=name,
            section="/webhooks/",
            row=row,
            headline=webhook_headline(row),
            text=_text(row),
            facts=_facts(row),
            posts=[(one, _RESULTS.get(one.result, ("plain", one.result))) for one in posts],
            kinds=[(one.value, one.value) for one in Kind],
            tested=tested,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTest:
    """POST /webhooks/{name}/test."""

    page: WebhookPage
    routes: WebhookRoutes
    audit: AuditTrail

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Post a sample of the kind that the form names, and show the answer."""
        form, name, viewer = await form_of(request), request.match_info["name"], viewer_of(request)
        try:
            kind = Kind(form.get("kind", ""))
        except ValueError:
            raise web.HTTPBadRequest(text=f"There is no kind of event {form.get('kind', '')[:80]}.") from None
        try:
            tested = await self.routes.samples(name, [kind])
        except UnknownWebhookError:
            raise web.HTTPNotFound(text=f"There is no webhook {name[:80]}.") from None
        after = "accepted" if any(one.accepted for one in tested) else "not accepted"
        await self.audit.note("webhook.test", person=viewer.name, client=viewer.client, subject=name, after=after)
        if not tested:
            text = f"The format {self.routes.control.webhook(name).format} has no form for {kind.value}."
            raise web.HTTPBadRequest(text=text)
        return await self.page.answer(request, tested)


def webhook_headline(row: WebhookRow) -> str:
    """Return the headline of the page: whether the webhook works, fails, is paused or new."""
    name = row.view.webhook.name
    if row.badge == TRIES_AGAIN:
        return f"The last post of the webhook {name} failed."
    return {
        "posting": f"The webhook {name} works.",
        "failing": f"The webhook {name} fails.",
        "paused": f"The webhook {name} is paused.",
        "new": f"The webhook {name} has posted nothing yet.",
    }[row.view.doing]


def _text(row: WebhookRow) -> str:
    if row.badge == TRIES_AGAIN:
        return "Nothing is lost: events wait, and are sent when it answers."
    match row.view.doing:
        case "failing":
            return "Nothing is lost: events wait, and are sent when it answers."
        case "paused":
            why = sentence(row.view.state.why) if row.view.state else ""
            return f"{why} Events are kept as long as messages are.".strip()
    return ""


def _facts(row: WebhookRow) -> Sequence[tuple[str, Any]]:
    """Return the settings, without secrets."""
    one = row.view.webhook
    chosen = {"domains": one.domains, "identities": one.identities, "campaigns": one.campaigns, "tags": one.tags}
    return [
        ("Receiver", f"{'http' if one.is_plain else 'https'}://{one.host}"),
        ("Format", one.format),
        ("Events", ", ".join(one.events) or "all of messages"),
        *((name.capitalize(), ", ".join(values)) for name, values in chosen.items() if values),
        *([("Kind of mail", one.type)] if one.type != "any" else []),
        ("Signed", f"with {len(one.secret)} {'key' if len(one.secret) == 1 else 'keys'}" if one.secret else "no"),
        *([("Login", "by HTTP Basic")] if one.username else []),
        ("Behind", row.behind),
    ]
