"""The pages: the list of mails, one mail, its bodies, and the words of the simulator."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from relay.clock import Clock
from relay.console.layout import Layout, MenuItem
from relay.console.mail_preview import MAX_OCTETS, POLICY, Link, visible_body
from relay.console.message_rows import message_row
from relay.console.roles import Viewer
from relay.console.timeline import shown
from relay.dev.checks import KeyLookups, dkim_checks, unsubscribe_checks
from relay.domains.relay_keys import Keys
from relay.mail.queue_id import is_queue_id
from relay.mail.reply import Reply
from relay.mail.simulator_words import WORDS, Simulator
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.queue.message import Message
from relay.queue.sent_copies import SentCopy, SentCopyStore
from relay.reports.ports import MessageQuery, Story, StoryStore
from relay.resolver import Lookups
from relay.rewrite.message import rewrite
from relay.submission.accept import SubmissionHandler
from relay.submission.idempotency import Repeated

PAGE = 100
"""Mails of the list, at most."""


class DevLayout(Layout):
    """The layout of these pages, with their own menu."""

    async def _menu(self, _: Viewer) -> Sequence[tuple[str, Sequence[MenuItem]]]:
        items = (MenuItem("/", "Mails"), MenuItem("/messages", "Messages"))
        return (("Develop", items),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevPages:
    """Answers the requests."""

    layout: Layout
    stories: StoryStore
    copies: SentCopyStore
    submission: SubmissionHandler
    keys: Callable[[], Keys]
    dns: Callable[[], Lookups]
    words: Callable[[], Simulator]
    clock: Clock

    async def index(self, request: web.Request) -> web.StreamResponse:
        """GET /: the newest mails, renewed every two seconds."""
        found = await self.stories.stories(MessageQuery(limit=PAGE))
        rows = [message_row(one) for one in found]
        return await self.layout.page(request, "dev_mails.html", title="Mails", rows=rows)

    async def mail(self, request: web.Request) -> web.StreamResponse:
        """GET /mail/ID: one mail as it was sent and as it would have left, with checks, links and story."""
        story = await self._story(request)
        message = story.message
        original, copies = await self.copies.original(message.queue_id), await self.copies.copies(message.queue_id)
        copy = copies[0] if copies else None
        dkim, unsubscribing, links = await self._checked(message, original, copy)
        return await self.layout.page(
            request,
            "dev_mail.html",
            title=message.subject or message.queue_id,
            message=message,
            recipients=[(one.recipient, one.status) for one in story.entries],
            original=_source(original),
            copy=_source(copy),
            dkim=dkim,
            unsubscribing=unsubscribing,
            links=links,
            events=[shown(one, self.clock()) for one in story.events],
            words=[one for one in WORDS if not one.startswith("code-")],
            domain=self.words().domain,
        )

    async def body(self, request: web.Request) -> web.StreamResponse:
        """GET /mail/ID/body?of=original|copy: what a reader sees, for a frame in a sandbox."""
        queue_id = (await self._story(request)).message.queue_id
        if request.query.get("of", "copy") == "original":
            found = await self.copies.original(queue_id)
        else:
            found = next(iter(await self.copies.copies(queue_id)), None)
        if found is None or len(found.content) > MAX_OCTETS:
            raise web.HTTPNotFound(text="There is no such content, or it is too large to be shown.")
        text = await asyncio.to_thread(visible_body, found.content)
        headers = {"Content-Security-Policy": POLICY}
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)

    async def send_to_word(self, request: web.Request) -> web.StreamResponse:
        """POST /mail/ID/word: send the mail again, to a word of the simulator."""
        message = (await self._story(request)).message
        word = str((await request.post()).get("word", ""))
        if word not in WORDS:
            raise web.HTTPBadRequest(text=f"{word[:40]!r} is no word of the simulator.")
        original = await self.copies.original(message.queue_id)
        if original is None:
            raise web.HTTPNotFound(text="The content of this mail is not kept: only mail of applications is.")
        session = Session("dev", "submission", "127.0.0.1", "localhost", extended=True)
        to = Recipient(f"{word}@{self.words().domain}")
        envelope = Envelope(message.reverse_path, (to,), "8BITMIME", smtputf8=message.smtputf8)
        match await self.submission.accept(Transaction(session, envelope, original.content)):
            case Reply() as refusal:
                raise web.HTTPBadRequest(text=f"The mail was refused: {refusal}")
            case Repeated(queue_id):
                raise web.HTTPSeeOther(f"/mail/{queue_id}")
            case accepted:
                raise web.HTTPSeeOther(f"/mail/{accepted.message.queue_id}")

    async def _story(self, request: web.Request) -> Story:
        queue_id = request.match_info["queue_id"].upper()
        found = await self.stories.stories(MessageQuery(queue_id=queue_id)) if is_queue_id(queue_id) else ()
        if not found:
            raise web.HTTPNotFound(text="There is no such mail. A restart without --data-dir forgets all mails.")
        return found[0]

    async def _checked(self, message: Message, original: SentCopy | None, copy: SentCopy | None) -> tuple[Any, ...]:
        """Return the checks of the signatures and of unsubscribing, and the decisions about links."""
        if copy is None:
            return (), (), None
        dkim = await dkim_checks(KeyLookups(self.dns(), self.keys()), copy.content)
        links = await asyncio.to_thread(self._links, message, original) if original is not None else None
        return dkim, unsubscribe_checks(copy.content), links

    def _links(self, message: Message, original: SentCopy) -> Sequence[Link]:
        tracking = message.policy.tracking
        if tracking is None:
            return ()
        found = rewrite(original.content, tracking, self.keys().tokens, message.queue_id, 0)
        unique = {(one.target, one.tracked): Link(one.target, one.tracked, one.reason) for one in found.links}
        return list(unique.values())


def _source(copy: SentCopy | None) -> str | None:
    """Return the content as text, None without one."""
    return None if copy is None else copy.content[:MAX_OCTETS].decode("utf-8", "replace")
