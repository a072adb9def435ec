"""Actions on the lists of suppressed and unsubscribed addresses: add, remove, import."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from relay.admin.address_lists import AddressListRoutes
from relay.console.confirmations import MAX_ROWS, Action, ConfirmationPages, Done, Question
from relay.console.formats import counted
from relay.console.forms import file_of, form_of, local_path
from relay.console.list_files import ListFileError, read_list
from relay.console.roles import Role, Viewer, viewer_of
from relay.mail.canonical_address import canonical, canonical_domain, domain_of
from relay.people.ports import Plan

MAX_FAULTS = 50
"""Faults that a page lists, at most."""

_AT_ONCE = 1000

_ADDED = {
    "suppressions": ("Suppress {}?", "They get no mail{} until they are taken off the list.", "Suppress {}"),
    "unsubscribes": ("Unsubscribe {}?", "They get no campaign mail{} of what is named.", "Unsubscribe {}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListActions:
    """POST /suppressions/actions or /unsubscribes/actions, by the name of the list."""

    confirmations: ConfirmationPages
    routes: AddressListRoutes[Any]
    fields: Sequence[str]
    """Fields of the form, beside the address."""

    def __post_init__(self) -> None:
        name = self.routes.name
        self.confirmations.actions[f"{name}.add"] = Action(Role.SUPPORT, self._ask_add, self._add)
        self.confirmations.actions[f"{name}.remove"] = Action(Role.SUPPORT, self._ask_remove, self._remove)
        self.confirmations.actions[f"{name}.import"] = Action(Role.OPERATOR, self._ask_add, self._add)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Ask about what the form names."""
        form, viewer = await form_of(request), viewer_of(request)
        action, back = form.get("action", ""), local_path(form.get("back", "") or f"/{self.routes.name}")
        if action == f"{self.routes.name}.import":
            keys, faults = self._read(await file_of(request, "file"), viewer)
            return await self.confirmations.ask(request, action, keys, {"faults": "\n".join(faults)}, back)
        given = {key: form.get(key, "").strip() for key in ("address", *self.fields)}
        if action == f"{self.routes.name}.remove":
            # A row is named as the list has it: also one that a form would not accept.
            self._check_scope(given, viewer)
            return await self.confirmations.ask(request, action, [json.dumps(given)], {}, back)
        if action != f"{self.routes.name}.add":
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        try:
            self._check(given, viewer)
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
        return await self.confirmations.ask(request, action, [json.dumps(given)], {}, back)

    def _read(self, octets: bytes, viewer: Viewer) -> tuple[Sequence[str], Sequence[str]]:
        """Return the entries of a file, and its faults."""
        found: dict[str, None] = {}
        faults: list[str] = []
        defaults = {"provenance": "import"} if "provenance" in self.routes.keys else {"source": "import"}
        try:
            for line, fields in read_list(octets, self.routes.keys):
                given = defaults | dict(fields)
                try:
                    self._check(given, viewer)
                except ValueError as error:
                    faults.append(f"Line {line}: {error}")
                    continue
                found.setdefault(json.dumps(given, sort_keys=True))
                if len(found) > MAX_ROWS:
                    faults.append(f"Line {line} and what follows: a file may have {MAX_ROWS:,} addresses. Split it.")
                    break
        except ListFileError as error:
            faults.append(str(error))
        if not found and not faults:
            faults.append("The file has no addresses.")
        more = [f"{counted(len(faults) - MAX_FAULTS, 'more line')}"] if len(faults) > MAX_FAULTS else []
        return list(found)[:MAX_ROWS], [*faults[:MAX_FAULTS], *more]

    def _check(self, given: Mapping[str, str], viewer: Viewer) -> None:
        """Raise ValueError for an entry that the list does not take from this person."""
        self.routes.read_entry(given)
        try:
            self._check_scope(given, viewer)
        except web.HTTPForbidden as error:
            raise ValueError(error.text) from None

    def _check_scope(self, given: Mapping[str, str], viewer: Viewer) -> None:
        scope = given.get("domain", "")
        domain = domain_of(scope) if "@" in scope else canonical_domain(scope)
        if not viewer.sees(domain):
            text = f"you act for {', '.join(viewer.domains)} only: the domain is {scope!r}"
            raise web.HTTPForbidden(text=text)

    def _ask_add(self, plan: Plan) -> Question:
        title, text, button = _ADDED[self.routes.name]
        faults = [one for one in plan.detail.get("faults", "").split("\n") if one]
        what = counted(len(plan.keys), "address", "addresses")
        if not plan.keys:
            return Question("Nothing to import", ("No line of the file can be taken.",), "", "Go back", faults=faults)
        first = json.loads(plan.keys[0])
        named = first["address"] if len(plan.keys) == 1 else what
        scope = f" of {first['domain']}" if len(plan.keys) == 1 and first.get("domain") else ""
        texts = [text.format(scope)]
        if self.routes.name == "suppressions" and len(plan.keys) > 1:
            texts.append("An address that is on the list already gets the reason and note of this one.")
        return Question(title.format(named), texts, button.format(what), "Leave the list as it is", faults=faults)

    def _ask_remove(self, plan: Plan) -> Question:
        one = json.loads(plan.keys[0])
        scope = f" of {one['domain']}" if one.get("domain") else ""
        text = f"Mail{scope} is sent to {one['address']} again. If it bounces, the address returns to the list."
        if self.routes.name == "unsubscribes":
            text = f"Campaign mail{scope} is sent to {one['address']} again, although the reader left it."
        return Question(f"Take {one['address']} off the list?", (text,), "Take it off", "Keep it there", is_danger=True)

    async def _add(self, plan: Plan) -> Done:
        entries = [self.routes.read_entry(json.loads(key)) for key in plan.keys]
        for start in range(0, len(entries), _AT_ONCE):
            await self.routes.put(entries[start : start + _AT_ONCE])
        what = counted(len(entries), "address is", "addresses are")
        subject = json.loads(plan.keys[0])["address"] if len(entries) == 1 else f"{len(entries)} addresses of a file"
        word = self.routes.word
        return Done(f"{what} {word}.", subject=subject, before="", after=word)

    async def _remove(self, plan: Plan) -> Done:
        one = json.loads(plan.keys[0])
        scope: dict[str, str | None] = {key: one.get(key, "") for key in self.routes.scope}
        removed = await self.routes.take_off([one["address"]], scope)
        if not removed:
            follows = "Somebody took it off meanwhile, or it ended."
            return Done("The address was not on the list.", follows, "off", one["address"], "", "was not on the list")
        what = f"{canonical(one['address'])} is off the list."
        return Done(what, subject=one["address"], before=self.routes.word, after="off the list")
