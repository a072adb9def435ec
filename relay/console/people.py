"""People and the audit: who may log in, and who changed what."""

import asyncio
import json
import secrets
from dataclasses import dataclass

from aiohttp import web

from relay.admin.people import PeopleRoutes
from relay.admin.requests import before_text, parse_before
from relay.config import ConfigError
from relay.config.console import ROLES, Role
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.forms import form_of
from relay.console.layout import Layout
from relay.console.page_urls import page_url
from relay.console.roles import Role as Rank
from relay.console.roles import viewer_of
from relay.mail.address import AddressError, parse_address
from relay.mail.canonical_address import canonical
from relay.people.files import PersonFileError, add_person, remove_person, reset_person
from relay.people.ports import ChangeQuery, Plan
from relay.people.table_editor import TableEditor

PAGE = 50
"""Changes of a page."""

_TITLES = {
    "people.new": ("Add {} as {}?", "A code for the first login is shown once, on the next page.", "Add"),
    "people.reset": (
        "Make a new code for {}?",
        "The password ends, and with it all logins. An app stays.",
        "Make a code",
    ),
    "people.logout": ("Log {} out?", "All open logins of this person end.", "Log out"),
    "people.app": (
        "Remove the app of {}?",
        "The next login needs no code. All logins of this person end.",
        "Remove it",
    ),
    "people.remove": (
        "Remove {}?",
        "All logins of this person end. The audit keeps what the person changed.",
        "Remove",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeoplePages:
    """GET /people and /audit, POST /people/actions."""

    layout: Layout
    routes: PeopleRoutes
    confirmations: ConfirmationPages
    editor: TableEditor

    def __post_init__(self) -> None:
        for name in _TITLES:
            self.confirmations.actions[name] = Action(Rank.OWNER, _question, self._run)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /people: roles, apps, open logins."""
        rows = await self.routes.rows()
        roles = [(role, role.capitalize()) for role in ROLES]
        return await self.layout.page(request, "people.html", title="People", rows=rows, roles=roles)

    async def audit(self, request: web.Request) -> web.StreamResponse:
        """GET /audit?person=&action=&before=: the changes. People restricted to domains get their own."""
        viewer, given = viewer_of(request), request.query
        filters = {key: given.get(key, "").strip() for key in ("person", "action")}
        person = viewer.name if viewer.domains else canonical(filters["person"])
        query = ChangeQuery(
            person=person, action=filters["action"], before=parse_before(given.get("before", "")), limit=PAGE + 1
        )
        found = await self.routes.changes.changes(query)
        last = found[PAGE - 1] if len(found) > PAGE else None
        older = page_url("/audit", filters, before=before_text((last.at, last.id))) if last else ""
        return await self.layout.page(
            request, "audit.html", title="Audit", rows=found[:PAGE], filters=filters, older=older
        )

    async def post(self, request: web.Request) -> web.StreamResponse:
        """POST /people/actions: ask about a person."""
        form = await form_of(request)
        action, given = form.get("action", ""), form.get("address", "").strip()
        if action not in _TITLES:
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        try:
            address = canonical(str(parse_address(given)))
        except AddressError as error:
            raise web.HTTPBadRequest(text=f"{given[:200]} is not a mail address: {error}.") from None
        if action == "people.new" and form.get("role") not in ROLES:
            raise web.HTTPBadRequest(text=f"The role is one of {', '.join(ROLES)}.")
        fault = await self.editor.fault() if action in ("people.new", "people.reset", "people.remove") else ""
        if fault:
            raise web.HTTPBadRequest(text=fault)
        domains = [one.strip() for one in form.get("domains", "").split(",") if one.strip()]
        detail = {"role": form.get("role", ""), "domains": json.dumps(domains)}
        return await self.confirmations.ask(request, action, [address], detail, "/people")

    async def _run(self, plan: Plan) -> Done:
        (address,) = plan.keys
        match plan.action:
            case "people.logout":
                count = await self.routes.people.sessions.end_all(address)
                return Done(f"{count} logins of {address} ended.", subject=address, after="logged out")
            case "people.app":
                removed = await self.routes.people.remove_app(address)
                what = f"The app of {address} is removed." if removed else f"{address} has no app any more."
                return Done(what, subject=address, before="app" if removed else "", after="no app")
        try:
            async with self.editor.lock:
                return await self._write(plan, address)
        except (PersonFileError, ConfigError, OSError) as error:
            return Done("Nothing was changed.", str(error), "bad", address, "", "refused")

    async def _write(self, plan: Plan, address: str) -> Done:
        """Change the file of a person, and reload. Raises PersonFileError, ConfigError and OSError."""
        assert self.editor.config is not None
        config, environ, random = self.editor.config, self.editor.environ, secrets.token_bytes(26)
        present = self.routes.console().people.get(address)
        before, after, code = present.role if present else "", "", ""
        match plan.action:
            case "people.new":
                role, domains = next(one for one in ROLES if one == plan.detail["role"]), _domains(plan)
                code, _ = await asyncio.to_thread(
                    lambda: add_person(config, address, role, domains, present=present, random=random, environ=environ)
                )
                what, after = f"{address} is {_named(role)}.", f"{role} {', '.join(domains)}".strip()
            case "people.reset":
                code, _ = await asyncio.to_thread(
                    lambda: reset_person(config, address, present=present, random=random, environ=environ)
                )
                what, after = f"{address} has a new code.", "code changed"
            case _:
                await asyncio.to_thread(lambda: remove_person(config, address, present=present, environ=environ))
                what, after = f"{address} is removed.", "removed"
        faults = (await self.editor.reload()).get("faults")
        if plan.action == "people.remove" and not faults:
            await self.routes.people.sessions.end_all(address)
            await self.routes.people.accounts.forget(address)
        follows = f"The configuration could not be reloaded: {faults}" if faults else ""
        return Done(what, follows, "wait" if faults else "ok", address, before, after, code)


def _question(plan: Plan) -> Question:
    title, text, button = _TITLES[plan.action]
    texts, domains = [text], _domains(plan)
    if plan.action == "people.new":
        texts.append(f"Restricted to {', '.join(domains)}." if domains else "Sees mail of all sending domains.")
    asked = title.format(plan.keys[0], _named(plan.detail.get("role", "")))
    return Question(asked, texts, button, "Leave it as it is", is_danger=plan.action == "people.remove")


def _domains(plan: Plan) -> tuple[str, ...]:
    return tuple(json.loads(plan.detail.get("domains", "") or "[]"))


def _named(role: Role | str) -> str:
    return f"{'an' if role[:1] in 'aeiou' else 'a'} {role}"
