"""What a person confirms: an action with the rows it touches, exactly those that the page named, and once."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from relay.clock import Clock
from relay.console.formats import number
from relay.console.forms import form_of
from relay.console.layout import Layout
from relay.console.login import signed_in_of
from relay.console.roles import Role, viewer_of
from relay.people.audit_trail import AuditTrail
from relay.people.ports import Plan, SessionStore

KEPT = 900.0
"""Seconds for which a plan can be confirmed."""

MAX_ROWS = 100_000
"""Rows of one plan, at most."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the page asks."""

    title: str
    texts: Sequence[str]
    button: str
    keep: str = "Leave it as it is"
    is_danger: bool = False
    typed: bool = False
    """Whether the number has to be typed: it cannot be undone."""
    faults: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What an action did. `before` and `after` are for the audit; "" as `before` writes nothing there."""

    what: str
    follows: str = ""
    state: str = "ok"
    subject: str = ""
    before: str = ""
    after: str = ""
    code: str = ""
    """A code that is shown once."""
    code_label: str = "Code of the first login"


@dataclass(frozen=True, slots=True)
class Action:
    """An action: the role it needs, what it asks, and what it does."""

    role: Role
    question: Callable[[Plan], Question]
    run: Callable[[Plan], Awaitable[Done]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationPages:
    """GET and POST /confirm/{plan}: the question, and its answer."""

    layout: Layout
    sessions: SessionStore
    audit: AuditTrail
    clock: Clock
    actions: dict[str, Action] = field(default_factory=dict)
    """By name, such as "queue.hold"."""

    async def ask(
        self, request: web.Request, action: str, keys: Sequence[str], detail: Mapping[str, str], back: str
    ) -> web.StreamResponse:
        """Keep a plan, and lead to the page that asks. Raises 403 without the role of the action."""
        self._check_role(request, action)
        plan_id = secrets.token_urlsafe(18)
        plan = Plan(
            plan_id, signed_in_of(request).token_hash, action, {**detail, "back": back}, tuple(keys), self.clock()
        )
        await self.sessions.keep_plan(plan)
        raise web.HTTPSeeOther(f"/confirm/{plan_id}")

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /confirm/{plan}: what will happen, to how many."""
        plan_id = request.match_info["plan"]
        plan = await self.sessions.plan(plan_id, signed_in_of(request).token_hash, self.clock() - KEPT)
        return await (self._gone(request) if plan is None else self._question(request, plan))

    async def confirm(self, request: web.Request) -> web.StreamResponse:
        """POST /confirm/{plan}: do it, and say what was done and what changed meanwhile."""
        plan_id, signed_in, since = request.match_info["plan"], signed_in_of(request), self.clock() - KEPT
        plan = await self.sessions.plan(plan_id, signed_in.token_hash, since)
        if plan is None:
            return await self._gone(request)
        self._check_role(request, plan.action)
        if self.actions[plan.action].question(plan).typed:
            typed = (await form_of(request)).get("n", "")
            if "".join(char for char in typed if char not in ", .") != str(len(plan.keys)):
                return await self._question(request, plan, f"The number is {number(len(plan.keys))}.")
        plan = await self.sessions.take_plan(plan_id, signed_in.token_hash, since)
        if plan is None:
            return await self._gone(request)
        return await self._carried_out(request, plan)

    async def _carried_out(self, request: web.Request, plan: Plan) -> web.StreamResponse:
        viewer = viewer_of(request)
        done = await self.actions[plan.action].run(plan)
        await self.audit.note(
            plan.action,
            person=viewer.name,
            client=viewer.client,
            subject=done.subject,
            before=done.before,
            after=done.after,
        )
        return await self.layout.page(
            request,
            "done.html",
            title="Done" if done.state == "ok" else "Done in part" if done.state == "wait" else "Nothing was changed",
            what=done.what,
            follows=done.follows,
            state=done.state,
            code=done.code,
            code_label=done.code_label,
            back=plan.detail.get("back", "/"),
        )

    async def _question(self, request: web.Request, plan: Plan, fault: str = "") -> web.StreamResponse:
        asked = self.actions[plan.action].question(plan)
        return await self.layout.page(
            request,
            "confirm.html",
            title=asked.title,
            status=400 if fault else 200,
            plan=plan.id,
            texts=asked.texts,
            fault=fault,
            faults=asked.faults,
            typed=asked.typed,
            button=asked.button,
            keep=asked.keep,
            danger=asked.is_danger,
            count=len(plan.keys),
            back=plan.detail.get("back", "/"),
        )

    def _check_role(self, request: web.Request, action: str) -> None:
        if action not in self.actions:
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        if viewer_of(request).role < self.actions[action].role:
            raise web.HTTPForbidden(text=f"This action needs the role {self.actions[action].role.name.lower()}.")

    async def _gone(self, request: web.Request) -> web.StreamResponse:
        text = (
            "It was confirmed before, or asked more than 15 minutes ago, or in another login. Begin anew on its page."
        )
        return await self.layout.error(request, 410, "There is nothing to confirm", text, state="off")
