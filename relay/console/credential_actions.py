"""Actions on credentials and their keys: another key, revocation, removal. Only owners have them."""

from dataclasses import dataclass

from aiohttp import web

from relay.config.credentials import fingerprint
from relay.config.table_names import credential_table
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.credential_form import KEY_TITLE, made_key
from relay.console.credentials import CredentialPages
from relay.console.forms import form_of
from relay.console.page_urls import path_segment
from relay.console.roles import Role
from relay.console.table_actions import changed, table_to_change, verb_of
from relay.people.ports import Plan
from relay.people.table_editor import Edit, TableEditor


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialActions:
    """POST /credentials/actions."""

    confirmations: ConfirmationPages
    pages: CredentialPages
    editor: TableEditor

    def __post_init__(self) -> None:
        self.confirmations.actions["credential.revoke"] = Action(Role.OWNER, _ask_revoke, self._revoke)
        self.confirmations.actions["credential.rotate"] = Action(Role.OWNER, _ask_rotate, self._rotate)
        self.confirmations.actions["credential.remove"] = Action(Role.OWNER, _ask_remove, self._remove)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Ask about a credential, or about one of its keys."""
        form = await form_of(request)
        action, name, key = (form.get(field, "") for field in ("action", "name", "key"))
        if action not in ("credential.revoke", "credential.rotate", "credential.remove"):
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        row, back = await self.pages.row(name), f"/credentials/{path_segment(name)}"
        if action == "credential.revoke":
            if key not in [one.mark for one in row.keys]:
                raise web.HTTPBadRequest(text=f"{name} has no key {key[:80]}.")
            return await self.confirmations.ask(request, action, [name], {"key": key}, back)
        table = await table_to_change(self.editor, credential_table(name), verb_of(action))
        ends = row.keys[0].mark if len(row.keys) > 1 else ""
        back = back if action == "credential.rotate" else "/credentials"
        return await self.confirmations.ask(request, action, [name], {"version": table.version, "ends": ends}, back)

    async def _revoke(self, plan: Plan) -> Done:
        (name,), key = plan.keys, plan.detail["key"]
        await self.pages.routes.end_keys(name, [key])
        return Done(f"The key {key} of {name} is revoked.", "", "ok", f"{name} {key}", "in force", "revoked")

    async def _rotate(self, plan: Plan) -> Done:
        """Put a new key beside the present one, in the place of an older one."""
        (name,), table = plan.keys, await self.editor.read(credential_table(plan.keys[0]))
        present = self.pages.settings().credentials.get(name)
        if present is None:
            return Done(f"There is no credential {name} any more.", state="off", subject=name)
        key, hashed = made_key(name)
        newest = present.secret_hash[-1].get_secret_value()
        values = {one: value for one, value in table.values.items() if one not in ("secret_hash", "secret_hash_file")}
        edit = Edit(table.name, {**values, "secret_hash": [newest, hashed]}, plan.detail["version"], plan.action)
        follows = f"The key {fingerprint(newest)} still works. Revoke it when the application has the new one."
        return await changed(self.editor, edit, f"{name} has a new key.", follows, (KEY_TITLE.format(name), key))

    async def _remove(self, plan: Plan) -> Done:
        (name,) = plan.keys
        present = self.pages.settings().credentials.get(name)
        marks = [mark for mark, _ in present.hashes()] if present else []
        edit = Edit(credential_table(name), None, plan.detail["version"], plan.action)
        done = await changed(self.editor, edit, f"The credential {name} is removed.")
        if done.state == "ok":
            await self.pages.routes.end_keys(name, marks)
        return done


def _ask_revoke(plan: Plan) -> Question:
    texts = ("At once, on all nodes, also for sessions that are open. Mail that was accepted is still sent.",)
    title = f"Revoke the key {plan.detail['key']} of {plan.keys[0]}?"
    return Question(title, texts, "Revoke it", is_danger=True)


def _ask_rotate(plan: Plan) -> Question:
    texts = ["It is shown once, on the next page. The present key works beside it until you revoke it."]
    if plan.detail["ends"]:
        texts.append(f"There are two keys. The older one, {plan.detail['ends']}, ends now.")
    return Question(f"Make a new key for {plan.keys[0]}?", texts, "Make a key")


def _ask_remove(plan: Plan) -> Question:
    texts = ("Its application cannot log in any more, from now on. Mail that was accepted is still sent.",)
    return Question(f"Remove the credential {plan.keys[0]}?", texts, "Remove it", "Keep it", is_danger=True)
