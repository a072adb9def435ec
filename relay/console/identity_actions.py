"""Actions on identities: test the setup, type in a code, verify, remove."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from relay.config.settings import Settings
from relay.config.table_names import identity_table
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.forms import form_of
from relay.console.identities import IdentityPages
from relay.console.identity_forms import own_address
from relay.console.identity_tests import SETUP
from relay.console.page_urls import path_segment
from relay.console.roles import Role, viewer_of
from relay.console.table_actions import changed, table_to_change
from relay.people.own_choices import credentials_in, opened_credentials
from relay.people.ports import Plan
from relay.people.restricted_settings import removal_fault
from relay.people.table_editor import Edit, TableEditor
from relay.reports.serialize import JsonObject
from relay.verification.challenge import DIGITS, is_code
from relay.verification.model import TEST_STEPS
from relay.verification.result import ALL_WELL


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityActions:
    """POST /identities/ADDRESS/actions."""

    confirmations: ConfirmationPages
    pages: IdentityPages
    editor: TableEditor
    settings: Callable[[], Settings]

    def __post_init__(self) -> None:
        self.confirmations.actions["identity.remove"] = Action(Role.OPERATOR, _question, self._remove)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Do what the form names, and lead to the page of the identity. Raises StoreError."""
        address, form = own_address(request), await form_of(request)
        action, page = form.get("action", ""), f"/identities/{path_segment(address)}"
        tests = self.pages.tests
        match action.partition("."):
            case ("test", "", ""):
                await self._note(request, "identity.test", address, "all steps")
                tests.start(address, SETUP)
            case ("test", _, step) if step in TEST_STEPS:
                await self._note(request, "identity.test", address, step)
                tests.start(address, [one for one in TEST_STEPS if one == step])
            case ("verify", "", ""):
                tests.keep(address, await tests.verifier.prove(address))
                await self._note(request, "identity.verify", address, "asked")
            case ("code", "", ""):
                return await self._code(request, address, form.get("otp", "").strip())
            case ("remove", "", ""):
                return await self._ask_remove(request, address, page)
            case _:
                raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        raise web.HTTPSeeOther(f"{page}#h-test")

    async def _code(self, request: web.Request, address: str, code: str) -> web.StreamResponse:
        """Confirm the address by the code in its mail."""
        if not is_code(code):
            return await self.pages.one(request, code=code, fault=f"The code has {DIGITS} digits.")
        result = await self.pages.tests.verifier.confirm_code(address, code)
        self.pages.tests.keep(address, result)
        if result["state"] != "passed":
            return await self.pages.one(request, code=code, fault=_first_text(result))
        await self._note(request, "identity.verify", address, f"{result['step']} confirmed by a code")
        done = "?complete=1" if result["verdict"] == ALL_WELL else ""
        raise web.HTTPSeeOther(f"/identities/{path_segment(address)}{done}#h-test")

    async def _ask_remove(self, request: web.Request, address: str, page: str) -> web.StreamResponse:
        """Ask about the removal. Raises HTTPBadRequest if this person cannot remove it."""
        table, domains = (
            await table_to_change(self.editor, identity_table(address), "Remove"),
            viewer_of(request).domains,
        )
        settings, names = self.settings(), credentials_in(table.values)
        if fault := removal_fault(settings, domains, table.values):
            raise web.HTTPBadRequest(text=fault)
        opens = ", ".join(opened_credentials(settings, address, names))
        detail = {"version": table.version, "opens": opens, "domains": json.dumps(domains)}
        return await self.confirmations.ask(request, "identity.remove", [address], detail, page)

    async def _remove(self, plan: Plan) -> Done:
        (address,), settings = plan.keys, self.settings()
        table = await self.editor.read(identity_table(address))
        names = credentials_in(table.values)
        fault = removal_fault(settings, json.loads(plan.detail["domains"]), table.values)
        if not fault and ", ".join(opened_credentials(settings, address, names)) != plan.detail["opens"]:
            fault = "What its credentials may do was changed meanwhile. Look at it again."
        if fault and table.version == plan.detail["version"]:
            return Done("Nothing was changed.", fault, "bad", address, "", "refused")
        edit = Edit(table.name, None, plan.detail["version"], plan.action)
        return await changed(self.editor, edit, f"{address} is removed.", "The records of its mail are kept.")

    async def _note(self, request: web.Request, action: str, address: str, after: str) -> None:
        viewer = viewer_of(request)
        await self.confirmations.audit.note(
            action, person=viewer.name, client=viewer.client, subject=address, after=after
        )


def _question(plan: Plan) -> Question:
    texts = [
        "Its mail is treated as that of any other address of its domain from the next message on.",
        "The records of its mail, and what waits, are kept.",
    ]
    if opens := plan.detail["opens"]:
        texts.append(f"No other identity names {opens}: from then on it may send as each identity that is open to all.")
    return Question(f"Remove {plan.keys[0]}?", texts, "Remove", "Keep it", is_danger=True)


def _first_text(result: JsonObject) -> str:
    """Return the first remark of a result as a sentence."""
    remarks = result["remarks"]
    assert isinstance(remarks, list)
    text = str(remarks[0]["text"]) if remarks else "the code is not right"
    return f"{text[:1].upper()}{text[1:]}."
