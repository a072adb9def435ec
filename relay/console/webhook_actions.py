"""Actions on webhooks: pause, resume, post events again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from relay.console.formats import counted, minute
from relay.console.forms import form_of
from relay.console.links import segment
from relay.console.plans import Action, Done, PlanPages, Question
from relay.console.roles import Role
from relay.mail.queue_id import is_queue_id
from relay.people.ports import Plan
from relay.webhooks.control import UnknownWebhookError, WebhookControl

_QUESTIONS: Mapping[str, tuple[str, str, str]] = {
    "webhooks.pause": (
        "Pause the webhook {}?",
        "Nothing is posted to it until it is resumed. Its events are kept as long as messages are.",
        "Pause it",
    ),
    "webhooks.resume": (
        "Resume the webhook {}?",
        "It goes on with the events that are kept. Kinds that its receiver refused are posted again.",
        "Resume it",
    ),
    "webhooks.skip": (
        "Resume the webhook {} with new events?",
        "The events that are kept for it are not posted. They can be posted again from its page.",
        "Resume it",
    ),
    "webhooks.failed": (
        "Post what failed again to {}?",
        "All events whose post failed are posted once more, with the same ids.",
        "Post it again",
    ),
    "webhooks.message": (
        "Post the events of a message again to {}?",
        "They have the same ids, so that a receiver can see that it has them.",
        "Post them again",
    ),
    "webhooks.since": (
        "Post the events since a time again to {}?",
        "They have the same ids, so that a receiver can see that it has them.",
        "Post them again",
    ),
}
"""Title, text and button of each action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookActions:
    """POST /webhooks/actions."""

    plans: PlanPages
    control: WebhookControl

    def __post_init__(self) -> None:
        for name in _QUESTIONS:
            self.plans.actions[name] = Action(Role.OPERATOR, _question, self._run)

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
        detail = _detail(action, form)
        return await self.plans.ask(request, action, [name], detail, f"/webhooks/{segment(name)}")

    async def _run(self, plan: Plan) -> Done:
        (name,) = plan.keys
        try:
            what = await self._do(plan, name)
        except UnknownWebhookError:
            return Done(f"There is no webhook {name} any more.", state="off", subject=name)
        return Done(what, subject=name, after=what)

    async def _do(self, plan: Plan, name: str) -> str:
        control = self.control
        match plan.action:
            case "webhooks.pause":
                is_new = await control.pause(name, "paused on the console")
                return f"The webhook {name} is paused." if is_new else f"The webhook {name} was paused before."
            case "webhooks.resume" | "webhooks.skip":
                await control.resume(name, from_now=plan.action == "webhooks.skip")
                return f"The webhook {name} goes on."
            case "webhooks.failed":
                return f"{counted(await control.replay_failed(name), 'event')} of {name} will be posted again."
            case "webhooks.message":
                count = await control.replay_message(name, plan.detail["queue_id"])
                return f"{counted(count, 'event')} of the message will be posted again to {name}."
        count = await control.replay(name, float(plan.detail["since"]), self.plans.clock())
        return f"{counted(count, 'event')} will be looked at for {name}."


def _detail(action: str, form: Mapping[str, str]) -> Mapping[str, str]:
    """Return what an action needs beside the name. Raises 400."""
    if action == "webhooks.message":
        queue_id = form.get("queue_id", "").strip().upper()
        if not is_queue_id(queue_id):
            raise web.HTTPBadRequest(
                text=f"{queue_id[:80] or 'Nothing'} is not the id of a message, such as 1M8PWY6BNNZFMM."
            )
        return {"queue_id": queue_id}
    if action == "webhooks.since":
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
    if plan.action == "webhooks.message":
        texts.append(f"The message is {plan.detail['queue_id']}.")
    if plan.action == "webhooks.since":
        texts.append(f"All events since {minute(float(plan.detail['since']))} (UTC) that its filter passes.")
    return Question(title.format(plan.keys[0]), texts, button, "Leave it as it is")
