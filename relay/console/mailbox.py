"""The bounce mailbox: is it read, and which folders does its server have?"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from relay.config.settings import Imap, Settings
from relay.console.formats import duration
from relay.console.layout import Layout
from relay.console.roles import viewer_of
from relay.console.tls_texts import TLS_TEXTS
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_folders import Folders
from relay.inbound.imap_mailbox import with_prefix
from relay.people.audit_trail import AuditTrail

ReadFolders = Callable[[Imap], Awaitable[Folders]]
"""Logs in at a mailbox, and returns its folders. Raises MailboxError."""

_OTHER_SERVICE = re.compile(r"greeting failed: (?!\* ).*?(?=; port|$)")
"""What another service says in the place of the greeting of IMAP."""

_HANDLED = {"move": "moved to {}", "flag": "marked with a flag", "leave": "left as it is"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxPage:
    """GET /mailbox, for everybody who reads."""

    layout: Layout
    settings: Callable[[], Settings]
    works: Callable[[Imap], bool | None]
    """Returns whether the last poll of this process succeeded, None if there was none."""

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /mailbox."""
        return await self.answer(request)

    async def answer(self, request: web.Request, found: Folders | None = None, fault: str = "") -> web.StreamResponse:
        """Answer with the page, and what a test found."""
        bounces = self.settings().bounces
        imap = bounces.imap
        state, headline, text = _verdict(imap, self.works(imap) if imap else None)
        return await self.layout.page(
            request,
            "mailbox.html",
            title="Bounce mailbox",
            imap=imap,
            state=state,
            headline=headline,
            text=text,
            facts=_facts(imap, bounces.threshold) if imap else (),
            folders=_uses(imap, found) if imap and found else (),
            tested=found is not None,
            fault=fault,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxTest:
    """POST /mailbox/test."""

    page: MailboxPage
    read: ReadFolders
    audit: AuditTrail

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Log in at the mailbox of the configuration, and show its folders."""
        viewer, imap = viewer_of(request), self.page.settings().bounces.imap
        if imap is None:
            raise web.HTTPBadRequest(text="There is no bounce mailbox to test.")
        found, fault = await folders_or_fault(self.read, imap)
        after = fault or "works"
        await self.audit.note("mailbox.test", person=viewer.name, client=viewer.client, subject=imap.host, after=after)
        return await self.page.answer(request, found, fault)


async def folders_or_fault(read: ReadFolders, imap: Imap) -> tuple[Folders | None, str]:
    """Return the folders of an account, or why they cannot be listed.

    What another service says is not part of that: it may be one in the network of this machine.
    """
    try:
        return await read(imap), ""
    except MailboxError as error:
        return None, _OTHER_SERVICE.sub("the greeting is not that of IMAP", str(error))


def _verdict(imap: Imap | None, works: bool | None) -> tuple[str, str, str]:
    """Return class, sentence and text of the first thing on the page."""
    if imap is None:
        text = "Bounces come back to this server only. A service that writes its own return path needs a mailbox."
        return "off", "There is no bounce mailbox.", text
    if works is None:
        return "off", "The bounce mailbox was not read yet.", "This process has not tried it, or another node does."
    if not works:
        return (
            "bad",
            "The bounce mailbox cannot be read.",
            "Test the login: the answer says why. No mail is lost.",
        )
    return "ok", "The bounce mailbox is read.", f"Every {duration(imap.interval)}, from {imap.folder}."


def _facts(imap: Imap, threshold: int) -> Sequence[tuple[str, Any]]:
    """Return the settings, without secrets."""
    return [
        ("Server", f"{imap.host}:{imap.port}"),
        ("Encryption", TLS_TEXTS[imap.tls]),
        ("User name", imap.username),
        ("Login", "OAuth2" if imap.oauth else "password"),
        ("Folder", imap.folder),
        ("Handled mail", _HANDLED[imap.handled].format(imap.handled_folder)),
        ("Threshold", f"{threshold} soft bounces suppress an address"),
    ]


def _uses(imap: Imap, found: Folders) -> Sequence[tuple[str, int | None, str]]:
    """Return name, number of mails and use of each folder. One of the configuration may stand behind the prefix."""
    names = {one.name for one in found.folders}

    def real(name: str) -> str:
        return name if name in names else with_prefix(name, found.prefix)

    uses = {real(imap.handled_folder): "handled mail"} if imap.handled == "move" else {}
    uses[real(imap.folder)] = "read"
    return [(one.name, one.messages, uses.get(one.name, "")) for one in found.folders]
