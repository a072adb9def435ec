"""Builds the body of a stored event. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from relay.dsn.categories import CATEGORIES
from relay.dsn.category import Category
from relay.events.event import Event, Kind
from relay.events.event_line import MAX_TIME
from relay.mail.lane import split_lane
from relay.queue.message import Message
from relay.webhooks.bodies import MODELS, Bounce, EventBody, Machine, MessageEvent, Reply
from relay.webhooks.feed import StoredEvent, event_id

_TEXT = 1000
"""Characters of a text, at most."""

_REPLY = 2000
"""Characters of a reply, at most."""

_URL = 8000
"""Characters of a URL, at most."""

_LABELS = 12 * 1024
"""Octets of the metadata, and of the tags, at most, as JSON."""

_STATUS = re.compile(r"([2-5])\.\d{1,3}\.\d{1,3}(?=\s|$)")

_CODE = re.compile(r"(?:smtp; ?)?([2-5]\d\d)(?:[ -]|$)", re.I)


@dataclass(frozen=True, slots=True)
class Record:
    """An event to be posted: as it is stored, and its body."""

    stored: StoredEvent
    body: EventBody

    @property
    def id(self) -> str:
        """The id of the event."""
        return self.body.data.id

    @property
    def type(self) -> str:
        """The type of the event, such as "message.open"."""
        return self.body.type

    @property
    def event(self) -> Event:
        """The event as it is stored."""
        return self.stored.event

    @property
    def message(self) -> Message:
        """The message; one without fields if it is purged."""
        return self.stored.message or Message(self.event.queue_id, 0.0, "")

    @property
    def data(self) -> MessageEvent:
        """The fields of all events of messages."""
        assert isinstance(self.body.data, MessageEvent)
        return self.body.data


def rfc3339(at: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(min(max(at, 0.0), MAX_TIME), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def type_of(event: Event) -> str:
    """Return the type of an event: the name of its log line."""
    return f"message.{event.kind.value}"


def build(stored: StoredEvent, *, subject: bool = False, test: bool = False) -> Record:
    """Return the event with its body. `subject` includes the subject, `test` marks a sample."""
    event = stored.event
    message = stored.message or Message(event.queue_id, 0.0, "")
    fields = _Fields()
    common: dict[str, Any] = {
        "id": event_id(event),
        "queue_id": event.queue_id,
        "number": event.number,
        "message_id": fields.text("message_id", message.message_id),
        "recipient": fields.text("recipient", event.address),
        "from_": fields.text("from", message.header_from),
        "domain": message.policy.domain or str(event.data.get("domain", "")),
        "identity": message.policy.identity or str(event.data.get("identity", "")),
        "kind": "campaign" if message.campaign else "transactional",
        "campaign": fields.text("campaign", message.campaign),
        "tags": fields.tags(message.tags),
        "metadata": fields.metadata(message.metadata),
        "provider": _provider(event, message),
    }
    if subject:
        common["subject"] = fields.text("subject", message.subject)
    if test:
        common["test"] = True

    common |= _specific(event, fields)
    if fields.cut:
        common["cut"] = tuple(fields.cut)
    data = MODELS[type_of(event)](**common)
    return Record(stored, EventBody(type=type_of(event), timestamp=rfc3339(event.at), data=data))


def parse_reply_text(text: str, status: str = "") -> Reply:
    """Return code, status and text of a reply or diagnostic such as "550 5.1.1 No such user"."""
    code = 0
    if found := _CODE.match(text):
        code, text = int(found[1]), text[found.end() :].lstrip()
    if found := _STATUS.match(text):
        status, text = found[0], text[found.end() :].lstrip()
    return Reply(code=code, status=status, text=text)


class _Fields:
    """Cleans and cuts texts that came from outside, and collects the names of those that were cut."""

    def __init__(self) -> None:
        self.cut: list[str] = []

    def text(self, name: str, value: object, most: int = _TEXT) -> str:
        """Return a text on one line, without control characters."""
        cleaned = str(value).encode("utf-8", "replace").decode()
        cleaned = cleaned if cleaned.isprintable() else "".join(c if c.isprintable() else " " for c in cleaned)
        if len(cleaned) <= most:
            return cleaned
        self.cut.append(name)
        return f"{cleaned[: most - 1]}…"

    def tags(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return the tags that fit."""
        return tuple(key for key, _ in self._fitting("tags", ((one, "") for one in tags)))

    def metadata(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """Return the metadata that fit."""
        return dict(self._fitting("metadata", metadata.items()))

    def _fitting(self, name: str, pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
        left = _LABELS
        for key, value in pairs:
            pair = self.text(name, key), self.text(name, value)
            left -= len(json.dumps(pair, ensure_ascii=False).encode())
            if left < 0:
                self.cut.append(name)
                break
            yield pair
        self.cut = list(dict.fromkeys(self.cut))


def _provider(event: Event, message: Message) -> str:
    lane = str(event.data.get("lane", ""))
    return split_lane(lane)[0] if lane else message.policy.provider


def _specific(event: Event, fields: _Fields) -> dict[str, Any]:
    """Return the fields of the type."""
    data = event.data
    match event.kind:
        case Kind.CREATED | Kind.PROCESSED:
            return {}
        case Kind.DELIVERED | Kind.DEFERRED | Kind.BOUNCED:
            return _attempted(event, fields)
        case Kind.DROPPED | Kind.HELD:
            return {"reason": fields.text("reason", data.get("reason", ""))}
        case Kind.OPEN:
            return _reader(data, fields) | {"machine": _machine(data)}
        case Kind.CLICK:
            url = fields.text("url", data.get("target", ""), _URL)
            return _reader(data, fields) | {"machine": _machine(data), "url": url}
        case Kind.REPLY:
            author = fields.text("reply_from", data.get("from", ""))
            subject = fields.text("reply_subject", data.get("subject", ""))
            return {"reply_from": author, "reply_subject": subject, "automatic": bool(data.get("automatic"))}
        case Kind.UNSUBSCRIBE:
            return _reader(data, fields) | {"by": fields.text("by", data.get("by", ""))}
        case Kind.COMPLAINT | Kind.FEEDBACK:
            return {"feedback_type": fields.text("feedback_type", data.get("feedback_type", "abuse"))}


def _attempted(event: Event, fields: _Fields) -> dict[str, Any]:
    data = event.data
    reply = parse_reply_text(fields.text("reply", data.get("reply", ""), _REPLY), str(data.get("status", "")))
    found: dict[str, Any] = {"remote": fields.text("remote", data.get("remote", "")), "reply": reply}
    if isinstance(attempt := data.get("attempt"), int):
        found["attempt"] = attempt
    if event.kind is Kind.DEFERRED:
        found["category"] = str(data.get("category", ""))
        if isinstance(at := data.get("next_attempt_at"), int | float):
            found["next_attempt_at"] = rfc3339(at)
        return found

    if isinstance(delay := data.get("delay"), int | float):
        found["delay"] = delay
    if event.kind is Kind.BOUNCED:
        found["reason"] = fields.text("reason", data.get("reason", ""))
        found["bounce"] = _bounce(data, reply)
    return found


def _bounce(data: Mapping[str, object], reply: Reply) -> Bounce:
    category = category_of(data)
    permanent = reply.code >= 500 or reply.status.startswith("5")
    suppressed = category.suppression == "now" or (category.suppression == "on-permanent" and permanent)
    about = {"title": category.title, "guidance": category.guidance, "suppressed": suppressed}
    return Bounce.model_validate(
        {"category": category.name, "class": category.kind, "late": bool(data.get("late")), **about}
    )


def category_of(data: Mapping[str, object]) -> Category:
    """Return the bounce category of an event; "expired" or "unknown" if none is recorded."""
    name = str(data.get("category", "")) or ("expired" if data.get("reason") else "unknown")
    return CATEGORIES.get(name, CATEGORIES["unknown"])


def _reader(data: Mapping[str, object], fields: _Fields) -> dict[str, Any]:
    client, agent = data.get("client", ""), data.get("user_agent", "")
    return {"client": fields.text("client", client), "user_agent": fields.text("user_agent", agent)}


def _machine(data: Mapping[str, object]) -> Machine | None:
    reason = str(data.get("reason", ""))
    reasons = (reason,) if reason else ()
    if data.get("machine"):
        return Machine(verdict="machine", reasons=reasons)
    return Machine(verdict="proxy", reasons=reasons) if data.get("proxied") else None
