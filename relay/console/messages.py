"""The list of messages."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.api import find_stories
from relay.console.message_rows import message_row
from relay.console.shell import Shell
from relay.reports.ports import MessageQuery, Story, StoryStore

PAGE = 50
"""Messages of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesPage:
    """The list of messages, newest first, and its search."""

    shell: Shell
    stories: StoryStore

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /messages?q=: the newest messages, or those that the search finds."""
        query = request.query.get("q", "").strip()
        found = await self._find(query)
        if query and len(found) == 1:
            raise web.HTTPFound(f"/messages/{found[0].message.queue_id}")
        return await self.shell.page(
            request, "messages.html", title="Messages", rows=[message_row(one) for one in found[:PAGE]]
        )

    async def _find(self, query: str) -> Sequence[Story]:
        if query:
            return await find_stories(self.stories, query)
        return await self.stories.stories(MessageQuery(limit=PAGE, users_only=True))
