"""Removal of a sending domain: refused while something names it, and asked about with what still waits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.config.settings import Settings
from relay.config.table_names import domain_table
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.formats import counted, listed
from relay.console.message_filters import STATUSES
from relay.console.roles import Role, viewer_of
from relay.console.table_actions import changed, table_to_change
from relay.mail.canonical_address import domain_of
from relay.people.ports import Plan
from relay.people.table_editor import Edit, TableEditor
from relay.reports.search import Search, SearchStore

_MAX_COUNTED = 200
"""Messages that wait and are counted, at most: each is read."""

_MAX_NAMED = 5
"""Names of one kind, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRemoval:
    """Asks about the removal of a sending domain, and carries it out."""

    confirmations: ConfirmationPages
    editor: TableEditor
    searches: SearchStore
    settings: Callable[[], Settings]

    def __post_init__(self) -> None:
        self.confirmations.actions["domain.remove"] = Action(Role.OPERATOR, _question, self._remove)

    async def ask(self, request: web.Request, domain: str, page: str) -> web.StreamResponse:
        """Ask, or answer with what depends on the domain. Raises HTTPBadRequest, HTTPForbidden and StoreError."""
        if domains := viewer_of(request).domains:
            text = f"You are restricted to {', '.join(domains)}. Somebody without a restriction removes a domain."
            raise web.HTTPForbidden(text=text)
        table = await table_to_change(self.editor, domain_table(domain), "Remove")
        if fault := reason_in_use(self.settings(), domain):
            return await self.confirmations.layout.error(request, 409, f"{domain} is in use", fault, state="wait")
        detail = {"version": table.version, "waiting": await self._waiting(domain)}
        return await self.confirmations.ask(request, "domain.remove", [domain], detail, page)

    async def _waiting(self, domain: str) -> str:
        """Return how many messages of the domain wait, "" for none."""
        search = Search(domains=(domain,), statuses=STATUSES["waiting"][1], limit=_MAX_COUNTED)
        found = await self.searches.search(search)
        count = len(found.stories)
        if not count and not found.next:
            return ""
        waiting = counted(count, "message of it waits", "messages of it wait")
        return f"At least {waiting}" if found.next else waiting

    async def _remove(self, plan: Plan) -> Done:
        (domain,) = plan.keys
        table = await self.editor.read(domain_table(domain))
        fault = reason_in_use(self.settings(), domain)
        if fault and table.version == plan.detail["version"]:
            return Done("Nothing was changed.", fault, "bad", domain, "", "refused")
        edit = Edit(table.name, None, plan.detail["version"], plan.action)
        follows = "Its DKIM keys and the records of its mail are kept. Take its records out of DNS when nothing waits."
        return await changed(self.editor, edit, f"{domain} is removed.", follows)


def reason_in_use(settings: Settings, domain: str) -> str:
    """Return what names a domain, with what to do, "" if nothing does."""
    found = list(_dependents(settings, domain))
    if not found:
        return ""
    return f"It is named by {listed(found, len(found))}. Remove these first, or take the domain out of them."


def _dependents(settings: Settings, domain: str) -> Iterator[str]:
    """Yield each kind of thing that names a domain: its number and its names."""
    identities = [address for address in settings.identities if domain_of(address) == domain]
    credentials = [name for name, one in settings.credentials.items() if domain in one.domains]
    people = [address for address, one in settings.console.people.items() if domain in one.domains]
    webhooks = [one.name for one in settings.webhooks if domain in one.domains]
    if identities:
        yield _named(counted(len(identities), "identity", "identities"), identities)
    if credentials:
        yield _named(counted(len(credentials), "credential"), credentials)
    if people:
        yield _named(counted(len(people), "person", "people"), people)
    if webhooks:
        yield _named(counted(len(webhooks), "webhook"), webhooks)
    if settings.server.identities_domain == domain:
        yield "server.identities_domain of the configuration"


def _named(kind: str, names: Sequence[str]) -> str:
    return f"{kind} ({listed(sorted(names), _MAX_NAMED)})"


def _question(plan: Plan) -> Question:
    waiting = plan.detail["waiting"]
    unsigned = "What waits leaves by the way it was accepted for, without a signature of the domain."
    texts = (
        "No identity, credential, person or webhook names it.",
        f"{waiting}. {unsigned}" if waiting else "No message of it waits.",
        "From the next message on it has the settings of domains that are not listed: no signature of its own.",
    )
    return Question(f"Remove {plan.keys[0]}?", texts, "Remove", "Keep it", is_danger=True)
