"""What every page has around its content: header, menu with its counts, footer. And the answers of pages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from relay.clock import Clock
from relay.console.roles import Viewer, viewer_of
from relay.console.static_files import URLS
from relay.console.templates import rendered
from relay.domains.status import DomainStatus
from relay.events.ports import StoreError
from relay.queue.routing import LanePause

SAVED = "saved"
"""Parameter of the page that follows a change."""


@dataclass(frozen=True, slots=True)
class MenuItem:
    """A line of the menu. The badge has a class and a text."""

    path: str
    title: str
    badge: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Answers requests with pages."""

    hostname: Callable[[], str]
    version: str
    clock: Clock
    waiting: Callable[[], Awaitable[int]]
    """Returns the number of entries in the queue. Raises StoreError."""
    domains: Callable[[], Sequence[DomainStatus]]
    pauses: Callable[[], Mapping[str, LanePause]]
    """Pauses by lane."""
    restart_needed: Callable[[], Sequence[str]] = tuple
    """Returns the keys of the configuration whose values hold only after a restart."""
    render: Callable[[str, Mapping[str, Any]], str] = rendered
    """Returns the page of a template."""

    async def page(
        self, request: web.Request, template: str, *, title: str, status: int = 200, **values: Any
    ) -> web.Response:
        """Answer with the page of a template."""
        text = self.render(
            template,
            {
                "title": title,
                "hostname": self.hostname(),
                "version": self.version,
                "now": self.clock(),
                "viewer": viewer_of(request),
                "saved": SAVED in request.query and viewer_of(request).signed_in is not None,
                "restart": self.restart_needed(),
                "files": URLS,
                "menu": await self._menu(viewer_of(request)),
                "section": request.path,
                "query": request.query.get("q", "").strip(),
                **values,
            },
        )
        return web.Response(status=status, text=text, content_type="text/html", charset="utf-8")

    async def error(
        self, request: web.Request, status: int, title: str, text: str, *, state: str = "bad"
    ) -> web.Response:
        """Answer with a page that says what is wrong, and what to do."""
        return await self.page(request, "error.html", title=title, status=status, text=text, state=state)

    async def _menu(self, viewer: Viewer) -> Sequence[tuple[str, Sequence[MenuItem]]]:
        failing = sum(one.health == "failing" for one in self.domains() if viewer.sees(one.domain))
        paused = sum(lane.startswith("provider:") for lane in self.pauses())
        watch = (
            MenuItem("/", "Overview"),
            MenuItem("/messages", "Messages"),
            MenuItem("/queue", "Queue", None if viewer.domains else await self._depth()),
            MenuItem("/bounces", "Bounces"),
        )
        send = (
            MenuItem("/domains", "Domains", ("bad", f"{failing} fail") if failing else None),
            MenuItem("/identities", "Identities"),
            MenuItem(
                "/providers", "Providers", ("wait", f"{paused} paused") if paused and not viewer.domains else None
            ),
            MenuItem("/mailbox", "Bounce mailbox"),
        )
        lists = (MenuItem("/suppressions", "Suppressions"),)
        connect = (MenuItem("/webhooks", "Webhooks"), MenuItem("/credentials", "Credentials"))
        people = [MenuItem("/audit", "Audit")] if viewer.may("OPERATOR") else []
        people += [MenuItem("/people", "People")] if viewer.may("OWNER") and not viewer.domains else []
        console = (("Console", people),) if people else ()
        if viewer.domains:
            return (("Watch", watch), ("Send", send[:3]), ("Lists", lists), *console)
        return (("Watch", watch), ("Send", send), ("Lists", lists), ("Connect", connect), *console)

    async def _depth(self) -> tuple[str, str] | None:
        try:
            waiting = await self.waiting()
        except StoreError:
            return None  # The page itself says what is wrong.
        return ("plain", f"{waiting:,}") if waiting else None
