"""Webhooks: which receivers answer, how far behind are the others?"""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.console.csv_export import csv_answer, one_page
from relay.console.formats import counted, listed, part_of
from relay.console.layout import Layout
from relay.webhooks.control import COUNTED, WebhookControl, WebhookView
from relay.webhooks.ports import Failure

FAILED = 10
"""Events of a webhook that are listed as failed."""

STATES = {
    "posting": ("ok", "Works"),
    "failing": ("bad", "Fails"),
    "paused": ("hold", "Paused"),
    "new": ("new", "New"),
}
"""Class and word of the badge of a webhook."""

TRIES_AGAIN = ("wait", "Tries again")
"""The same while its last post failed, and too few did for "Fails"."""


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """One webhook."""

    view: WebhookView
    badge: tuple[str, str]
    events: str
    answer: str
    answered_at: float
    next_at: float
    behind: str
    failed: Sequence[Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPages:
    """GET /webhooks and /webhooks.csv."""

    layout: Layout
    control: WebhookControl

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /webhooks: the receivers, and what failed last."""
        rows = await self._rows()
        bad = [one.view.webhook.name for one in rows if one.badge[0] in ("bad", "wait", "hold")]
        if not rows:
            headline = "There is no webhook."
        elif bad:
            working = len(rows) - len(bad)
            headline = f"{part_of(working, len(rows))} webhooks {'works' if working == 1 else 'work'}."
        else:
            headline = "The webhook works." if len(rows) == 1 else f"{part_of(len(rows), len(rows))} webhooks work."
        text = f"Look at {listed(bad)}. Nothing is lost: events wait, and are sent when it answers." if bad else ""
        return await self.layout.page(
            request, "webhooks.html", title="Webhooks", rows=rows, headline=headline, text=text
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /webhooks.csv: the same list."""
        header = ("name", "state", "url", "format", "events", "behind", "last_answer")
        rows = [
            (
                *(one.view.webhook.name, one.view.doing, one.view.webhook.host, one.view.webhook.format),
                *(one.events, one.view.behind, one.answer),
            )
            for one in await self._rows()
        ]
        return await csv_answer(request, "webhooks", header, one_page(rows))

    async def _rows(self) -> Sequence[WebhookRow]:
        return [
            await self.row(one, FAILED if one.doing != "posting" or one.waiting else 0)
            for one in await self.control.views()
        ]

    async def row(self, view: WebhookView, most: int) -> WebhookRow:
        """Return a webhook with at most that many of its failures."""
        progress = view.state.progress if view.state else None
        last = progress.last if progress else None
        failed = await self.control.failures(view.webhook.name, most) if most else ()
        has_failed = view.doing == "posting" and progress is not None and progress.failures > 0
        # A refusal for good ends the attempts of its event, and no failure.
        is_retried = has_failed and bool(view.behind or view.waiting)
        more = "more than " if view.behind >= COUNTED else ""
        return WebhookRow(
            view=view,
            badge=TRIES_AGAIN if is_retried else STATES[view.doing],
            events=listed(list(view.webhook.events), most=4),
            answer=f"{last.status or ''} {last.text}".strip() if last else "",
            answered_at=last.at if last else 0.0,
            next_at=progress.next_at if progress and (is_retried or view.doing == "failing") else 0.0,
            behind=f"{more}{counted(view.behind, 'event')}",
            failed=failed,
        )
