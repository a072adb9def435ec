"""Actions on providers: hold their mail, and send it again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from relay.admin.providers import ProviderRoutes
from relay.config.table_names import provider_table
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.formats import counted
from relay.console.forms import form_of
from relay.console.page_urls import path_segment
from relay.console.roles import Role
from relay.console.table_actions import changed, table_to_change, verb_of
from relay.mail.lane import DIRECT
from relay.people.ports import Plan
from relay.people.table_editor import Edit, TableEditor
from relay.queue.pause import HeldKind

_QUESTIONS = {
    "provider.pause": (
        "Pause the provider {}?",
        "Its mail is accepted, and waits until it is resumed. No fallback takes it. Its time runs on.",
        "Pause it",
    ),
    "provider.resume": (
        "Resume the provider {}?",
        "What waits for it is tried now. If it still refuses, it is paused again.",
        "Resume it",
    ),
    "provider.remove": (
        "Remove the provider {}?",
        "Its password is deleted. What waits for it takes another way out when it is due.",
        "Remove it",
    ),
}
"""Title, text and button of each action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderActions:
    """POST /providers/actions."""

    confirmations: ConfirmationPages
    routes: ProviderRoutes
    pause: Callable[[HeldKind, str, float, str], Awaitable[bool]]
    resume: Callable[[HeldKind, str], Awaitable[int | None]]
    editor: TableEditor

    def __post_init__(self) -> None:
        for name in _QUESTIONS:
            role = Role.OWNER if name == "provider.remove" else Role.OPERATOR
            self.confirmations.actions[name] = Action(role, _question, self._run)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Ask about a provider."""
        form = await form_of(request)
        action, name = form.get("action", ""), form.get("name", "")
        if action not in _QUESTIONS:
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        if name != DIRECT and self.routes.settings().provider(name) is None:
            raise web.HTTPNotFound(text=f"There is no provider {name[:80]}.")
        if action == "provider.remove":
            table = await table_to_change(self.editor, provider_table(name), verb_of(action))
            return await self.confirmations.ask(request, action, [name], {"version": table.version}, "/providers")
        return await self.confirmations.ask(request, action, [name], {}, f"/providers/{path_segment(name)}")

    async def _run(self, plan: Plan) -> Done:
        (name,) = plan.keys
        if plan.action == "provider.remove":
            edit = Edit(provider_table(name), None, plan.detail["version"], plan.action)
            return await changed(self.editor, edit, f"The provider {name} is removed.")
        if plan.action == "provider.pause":
            is_new = await self.pause("provider", name, 0.0, "on the console")
            what = f"The provider {name} is paused." if is_new else f"The provider {name} was paused before."
            return Done(what, subject=name, before="" if is_new else "paused", after="paused")
        released = await self.resume("provider", name)
        tried = await self.routes.end_pauses(name)
        if released is None and tried is None:
            return Done(f"The provider {name} was not paused.", state="off", subject=name, after="was not paused")
        count = counted((released or 0) + (tried or 0), "recipient is", "recipients are")
        return Done(f"The provider {name} is resumed.", f"{count} due now.", "ok", name, "paused", "resumed")


def _question(plan: Plan) -> Question:
    title, text, button = _QUESTIONS[plan.action]
    return Question(title.format(plan.keys[0]), (text,), button, is_danger=plan.action == "provider.remove")
