"""Actions on the keys of credentials. Only owners have them."""

from dataclasses import dataclass

from aiohttp import web

from relay.console.credentials import CredentialPages
from relay.console.forms import form_of
from relay.console.links import segment
from relay.console.plans import Action, Done, PlanPages, Question
from relay.console.roles import Role
from relay.people.ports import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialActions:
    """POST /credentials/actions."""

    plans: PlanPages
    pages: CredentialPages

    def __post_init__(self) -> None:
        self.plans.actions["credentials.revoke"] = Action(Role.OWNER, _ask_revoke, self._revoke)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Ask about a key of a credential."""
        form = await form_of(request)
        action, name, key = (form.get(field, "") for field in ("action", "name", "key"))
        if action != "credentials.revoke":
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        row = await self.pages.row(name)
        if key not in [one.mark for one in row.keys]:
            raise web.HTTPBadRequest(text=f"{name} has no key {key[:80]}.")
        return await self.plans.ask(request, action, [name], {"key": key}, f"/credentials/{segment(name)}")

    async def _revoke(self, plan: Plan) -> Done:
        (name,), key = plan.keys, plan.detail["key"]
        await self.pages.routes.end_keys(name, [key])
        return Done(f"The key {key} of {name} is revoked.", "", "ok", f"{name} {key}", "in force", "revoked")


def _ask_revoke(plan: Plan) -> Question:
    texts = ("At once, on all nodes, also for sessions that are open. Mail that was accepted is still sent.",)
    title = f"Revoke the key {plan.detail['key']} of {plan.keys[0]}?"
    return Question(title, texts, "Revoke it", is_danger=True)
