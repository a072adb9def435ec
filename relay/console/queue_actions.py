"""Actions on the queue: hold, release, try now, delete; by the filter that is shown, or the recipients of a message."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.admin.queue import QueueRoutes
from relay.console.cached import Cached
from relay.console.confirmations import MAX_ROWS, Action, ConfirmationPages, Done, Question
from relay.console.formats import counted, number
from relay.console.forms import form_of
from relay.console.page_urls import page_url
from relay.console.queue import entry_queries
from relay.console.queue_state import QueueState
from relay.console.roles import Role, viewer_of
from relay.mail.queue_id import is_queue_id
from relay.people.ports import Plan
from relay.queue.entry import State
from relay.queue.ports import EntryQuery

BATCH = 1000
"""Entries of one transaction."""

_STATES = {
    "hold": (State.WAITING,),
    "release": (State.HELD,),
    "flush": (State.WAITING,),
    "delete": (State.WAITING, State.HELD),
}
"""States that each action changes."""

_TITLES = {
    "hold": "Hold {}?",
    "release": "Release {}?",
    "flush": "Try {} now?",
    "delete": "Delete {}?",
}

_TEXTS = {
    "hold": "They are not sent until they are released. Their time runs on: those left at its end bounce.",
    "release": "They are sent as fast as limits and sites allow.",
    "flush": "Limits and pauses still apply. A site that asked to wait may refuse them again.",
    "delete": "They are never sent, and this cannot be undone. The senders get no notice.",
}

_BUTTONS = {"hold": "Hold {}", "release": "Release {}", "flush": "Try {} now", "delete": "Delete {}"}

_DONE = {
    "hold": "{} held.",
    "release": "{} released.",
    "flush": "{} due now.",
    "delete": "{} deleted.",
}

_LEFT = {
    State.ACTIVE: "{} being sent meanwhile",
    State.DELIVERED: "{} delivered meanwhile",
    State.BOUNCED: "{} bounced meanwhile",
    State.DROPPED: "{} deleted meanwhile",
    State.HELD: "{} held already",
    State.WAITING: "{} waiting already",
}

_FILTERS = ("q", "site", "state", "domain")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueActions:
    """POST /queue/actions and POST /messages/{queue_id}/actions."""

    confirmations: ConfirmationPages
    queue: Cached[QueueState]
    routes: QueueRoutes

    def __post_init__(self) -> None:
        for word in _STATES:
            self.confirmations.actions[f"queue.{word}"] = Action(Role.OPERATOR, _question, self._run)
            self.confirmations.actions[f"message.{word}"] = Action(Role.SUPPORT, _question, self._run)

    async def by_filter(self, request: web.Request) -> web.StreamResponse:
        """POST /queue/actions with action and filter: ask about the entries that match now."""
        form = await form_of(request)
        action = form.get("action", "")
        filters = {key: form.get(key, "").strip() for key in _FILTERS}
        queries = entry_queries(filters, await self.queue(), viewer_of(request))
        keys, more = await self._keys(action, queries)
        shown = ", ".join(f"{key} {value}" for key, value in filters.items() if value)
        detail = {"filter": shown or "all of the queue", "more": "yes" if more else ""}
        return await self.confirmations.ask(request, action, keys, detail, page_url("/queue", filters))

    async def by_message(self, request: web.Request) -> web.StreamResponse:
        """POST /messages/{queue_id}/actions with action, and number for one recipient."""
        form, queue_id = await form_of(request), request.match_info["queue_id"].upper()
        action, viewer = form.get("action", ""), viewer_of(request)
        if not is_queue_id(queue_id):
            raise web.HTTPNotFound(text=f"There is no message {queue_id}.")
        keys, _ = await self._keys(action, [EntryQuery(queue_id=queue_id, domains=viewer.domains)])
        one = form.get("number", "")
        kept = [key for key in keys if not one or key == f"{queue_id}/{one}"]
        detail = {"filter": f"message {queue_id}", "more": ""}
        return await self.confirmations.ask(request, action, kept, detail, f"/messages/{queue_id}")

    async def _keys(self, action: str, queries: Sequence[EntryQuery]) -> tuple[Sequence[str], bool]:
        """Return the keys of entries that the action can change, and whether there are more than a plan holds."""
        possible = _STATES.get(action.partition(".")[2])
        if possible is None:
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        found: list[tuple[str, int]] = []
        for query in queries:
            states = tuple(state for state in possible if not query.states or state in query.states)
            if states:
                found += await self.routes.store.keys(
                    replace(query, states=states, after=("", -1), limit=MAX_ROWS + 1 - len(found))
                )
            if len(found) > MAX_ROWS:
                break
        return [f"{queue_id}/{number}" for queue_id, number in found[:MAX_ROWS]], len(found) > MAX_ROWS

    async def _run(self, plan: Plan) -> Done:
        word = plan.action.partition(".")[2]
        keys = [(queue_id, int(number)) for queue_id, _, number in (key.rpartition("/") for key in plan.keys)]
        done, left = 0, Counter[str]()
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            before = await self.routes.store.states(batch)
            changed = await self.routes.apply_to(word, batch)
            touched = {(entry.queue_id, entry.number) for _, entry in changed.entries}
            done += len(touched)
            left.update(_why_left(word, before, key) for key in batch if key not in touched)
        self.queue.forget()
        what = _DONE[word].format(counted(done, "recipient is", "recipients are"))
        return Done(
            what=what,
            follows=_sentence(left),
            state="ok" if not left else "wait" if done else "off",
            subject=plan.detail["filter"],
            before=f"{number(len(keys))} named",
            after=f"{what} {_sentence(left)}".strip(),
        )


def _why_left(word: str, before: Mapping[tuple[str, int], State], key: tuple[str, int]) -> str:
    """Return why an entry was not changed: its state just before."""
    state = before.get(key)
    if state is None:
        return "{} gone meanwhile"
    if word == "flush" and state is State.WAITING:
        return "{} due already"
    if state in _STATES[word]:
        return "{} being sent meanwhile"  # It was claimed between the two steps.
    return _LEFT[state]


def _sentence(left: Counter[str]) -> str:
    parts = [why.format(f"{number(count)} {'was' if count == 1 else 'were'}") for why, count in sorted(left.items())]
    return f"{', '.join(parts)}: not touched." if parts else ""


def _question(plan: Plan) -> Question:
    word, count = plan.action.partition(".")[2], len(plan.keys)
    what = counted(count, "recipient" if word in ("release",) else "waiting recipient")
    if not count:
        text = f"Of {plan.detail['filter']} there is nothing that it could change."
        return Question(f"Nothing to {'try' if word == 'flush' else word}", (text,), "", "Go back")
    texts = [_TEXTS[word], f"Chosen by: {plan.detail['filter']}."]
    if plan.detail.get("more"):
        texts.append(f"These are the first {number(count)} that match. Do it again for the rest.")
    return Question(
        title=_TITLES[word].format(what),
        texts=texts,
        button=_BUTTONS[word].format(number(count)),
        keep="Keep them" if word == "delete" else "Leave them as they are",
        is_danger=word == "delete",
        typed=word == "delete" and count > 1,
    )
