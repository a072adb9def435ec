"""Actions on webhooks: pause, resume, post events again; another key, removal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from relay.config.settings import Settings
from relay.config.table_names import webhook_table
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.formats import counted, minute
from relay.console.forms import form_of
from relay.console.page_urls import path_segment
from relay.console.roles import Role
from relay.console.table_actions import changed, table_to_change, verb_of
from relay.console.webhook_form import made_secret
from relay.mail.queue_id import is_queue_id
from relay.people.ports import Plan
from relay.people.table_editor import Edit, TableEditor
from relay.webhooks.control import UnknownWebhookError, WebhookControl
from relay.webhooks.ports import PAUSED_BY_OPERATOR

_QUESTIONS: Mapping[str, tuple[str, str, str]] = {
    "webhook.pause": (
        "Pause the webhook {}?",
        "Nothing is posted to it until it is resumed. Its events are kept as long as messages are.",
        "Pause it",
    ),
    "webhook.resume": (
        "Resume the webhook {}?",
        "It goes on with the events that are kept. Kinds that its receiver refused are posted again.",
        "Resume it",
    ),
    "webhook.skip": (
        "Resume the webhook {} with new events?",
        "The events that are kept for it are not posted. They can be posted again from its page.",
        "Resume it",
    ),
    "webhook.failed": (
        "Post what failed again to {}?",
        "All events whose post failed are posted once more, with the same ids.",
        "Post it again",
    ),
    "webhook.message": (
        "Post the events of a message again to {}?",
        "They have the same ids, so that a receiver can see that it has them.",
        "Post them again",
    ),
    "webhook.since": (
        "Post the events since a time again to {}?",
        "They have the same ids, so that a receiver can see that it has them.",
        "Post them again",
    ),
    "webhook.rotate": (
        "Make a new key for {}?",
        "It signs from the next post on, and is shown once, on the next page. The present key signs beside it.",
        "Make a key",
    ),
    "webhook.retire": (
        "End the older key of {}?",
        "Posts are signed with the newest key only. A receiver that does not have it refuses them.",
        "End it",
    ),
    "webhook.remove": (
        "Remove the webhook {}?",
        "Nothing is posted to it any more, and its keys are deleted. Events that wait for it are not posted.",
        "Remove it",
    ),
}
"""Title, text and button of each action."""

_OF_OWNERS = ("webhook.rotate", "webhook.retire", "webhook.remove")
"""Actions that change secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookActions:
    """POST /webhooks/actions."""

    confirmations: ConfirmationPages
    control: WebhookControl
    settings: Callable[[], Settings]
    editor: TableEditor

    def __post_init__(self) -> None:
        for name in _QUESTIONS:
            role = Role.OWNER if name in _OF_OWNERS else Role.OPERATOR
            self.confirmations.actions[name] = Action(role, _question, self._run)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Ask about a webhook."""
        form = await form_of(request)
        action, name = form.get("action", ""), form.get("name", "")
        if action not in _QUESTIONS:
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        try:
            self.control.webhook(name)
        except UnknownWebhookError:
            raise web.HTTPNotFound(text=f"There is no webhook {name[:80]}.") from None
        if action in _OF_OWNERS:
            table = await table_to_change(self.editor, webhook_table(name), verb_of(action))
            back = "/webhooks" if action == "webhook.remove" else f"/webhooks/{path_segment(name)}"
            return await self.confirmations.ask(request, action, [name], {"version": table.version}, back)
        detail = _detail(action, form)
        return await self.confirmations.ask(request, action, [name], detail, f"/webhooks/{path_segment(name)}")

    async def _run(self, plan: Plan) -> Done:
        (name,) = plan.keys
        if plan.action == "webhook.remove":
            edit = Edit(webhook_table(name), None, plan.detail["version"], plan.action)
            return await changed(self.editor, edit, f"The webhook {name} is removed.")
        if plan.action in _OF_OWNERS:
            return await self._change_keys(plan, name)
        try:
            what = await self._do(plan, name)
        except UnknownWebhookError:
            return Done(f"There is no webhook {name} any more.", state="off", subject=name)
        return Done(what, subject=name, after=what)

    async def _change_keys(self, plan: Plan, name: str) -> Done:
        """Put a new key before the present one, or keep the newest one alone."""
        table = await self.editor.read(webhook_table(name))
        try:
            webhook = self.control.webhook(name)
        except UnknownWebhookError:
            return Done(f"There is no webhook {name} any more.", state="off", subject=name)
        kept = [one.get_secret_value() for one in webhook.secret[:1]]
        what, follows, code = f"The webhook {name} has one key.", "", ("", "")
        if plan.action == "webhook.rotate":
            secret, code = made_secret(name, webhook.format, self.settings().server.hostname)
            kept.insert(0, secret)
            what = f"The webhook {name} has a new key."
            follows = "The older key signs beside it until you end it." if kept[1:] else ""
        values = {key: value for key, value in table.values.items() if key not in ("secret", "secret_file")}
        edit = Edit(table.name, values, plan.detail["version"], plan.action, {"secret": "\n".join(kept)})
        return await changed(self.editor, edit, what, follows, code)

    async def _do(self, plan: Plan, name: str) -> str:
        control = self.control
        match plan.action:
            case "webhook.pause":
                is_new = await control.pause(name, PAUSED_BY_OPERATOR)
                return f"The webhook {name} is paused." if is_new else f"The webhook {name} was paused before."
            case "webhook.resume" | "webhook.skip":
                await control.resume(name, from_now=plan.action == "webhook.skip")
                return f"The webhook {name} goes on."
            case "webhook.failed":
                return f"{counted(await control.replay_failed(name), 'event')} of {name} will be posted again."
            case "webhook.message":
                count = await control.replay_message(name, plan.detail["queue_id"])
                return f"{counted(count, 'event')} of the message will be posted again to {name}."
        count = await control.replay(name, float(plan.detail["since"]), self.confirmations.clock())
        return f"{counted(count, 'event')} will be looked at for {name}."


def _detail(action: str, form: Mapping[str, str]) -> Mapping[str, str]:
    """Return what an action needs beside the name. Raises 400."""
    if action == "webhook.message":
        queue_id = form.get("queue_id", "").strip().upper()
        if not is_queue_id(queue_id):
            raise web.HTTPBadRequest(
                text=f"{queue_id[:80] or 'Nothing'} is not the id of a message, such as 1M8PWY6BNNZFMM."
            )
        return {"queue_id": queue_id}
    if action == "webhook.since":
        given = form.get("since", "").strip()
        try:
            return {"since": str(datetime.fromisoformat(given).replace(tzinfo=UTC).timestamp())}
        except (ValueError, OverflowError):
            raise web.HTTPBadRequest(
                text=f"{given[:80] or 'Nothing'} is not a time, such as 2026-11-30T09:00."
            ) from None
    return {}


def _question(plan: Plan) -> Question:
    title, text, button = _QUESTIONS[plan.action]
    texts = [text]
    if plan.action == "webhook.message":
        texts.append(f"The message is {plan.detail['queue_id']}.")
    if plan.action == "webhook.since":
        texts.append(f"All events since {minute(float(plan.detail['since']))} (UTC) that its filter passes.")
    is_danger = plan.action in ("webhook.retire", "webhook.remove")
    return Question(title.format(plan.keys[0]), texts, button, "Leave it as it is", is_danger=is_danger)
