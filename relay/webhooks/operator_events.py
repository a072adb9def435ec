"""Events of the relay itself, posted to webhooks that ask for them: alerts that do not travel by mail.

They are not stored: the store may be what is in trouble. Each is tried for about an hour, then dropped.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import get_args

from relay.clock import Clock
from relay.config.webhooks import OperatorEvents, Webhook
from relay.webhooks.bodies import EventBody, OperatorEvent
from relay.webhooks.build import rfc3339
from relay.webhooks.formats.cloudevents import cloudevents_binary_post, cloudevents_post
from relay.webhooks.formats.post import Post, Sender
from relay.webhooks.formats.registry import sender_of, signed
from relay.webhooks.formats.slack import slack_post
from relay.webhooks.formats.standard import standard_post
from relay.webhooks.receiver_client import ReceiverClient

ALERT = "alert"
"""Type of an alert to the operator; the other types are names of log lines."""

OPERATOR_LINES = frozenset(get_args(OperatorEvents)) - {ALERT}
"""Log lines that are events too."""

ATTEMPTS = (5.0, 30.0, 120.0, 600.0, 3000.0)
"""Seconds between the attempts of one event."""

_WAITING = 100
"""Events that wait for a receiver, at most; the oldest are dropped."""

_TEXT = 1000
"""Characters of a text, at most."""

_FORMATS: Mapping[str, Callable[[EventBody, Sender], Post]] = {
    "standard": standard_post,
    "cloudevents": cloudevents_post,
    "cloudevents-binary": cloudevents_binary_post,
    "slack": slack_post,
}


def operator_body(kind: str, fields: Mapping[str, object], hostname: str, now: float) -> EventBody:
    """Return the body of an event of the relay, with the fields of its log line."""
    shown = {name: _plain(value) for name, value in fields.items() if name not in ("id", "hostname", "text")}
    text = str(fields.get("text") or ", ".join(f"{name} {value}" for name, value in shown.items()))
    made = blake2b(f"{hostname} {kind} {now:.6f} {text}".encode("utf-8", "replace"), digest_size=16).hexdigest()
    data = OperatorEvent.model_validate({"id": f"evt_{made}", "hostname": hostname, "text": _cut(text), **shown})
    return EventBody(type=kind, timestamp=rfc3339(now), data=data)


def _plain(value: object) -> object:
    """Return a value that JSON has; a long text is cut."""
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple() | dict() if len(json.dumps(value, default=str)) <= _TEXT:
            return json.loads(json.dumps(value, default=str))
    return _cut(str(value))


def _cut(text: str) -> str:
    line = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    return line if len(line) <= _TEXT else f"{line[: _TEXT - 1]}…"


def wanted_types(webhook: Webhook) -> frozenset[str]:
    """Return the types of events of the relay itself that a webhook asks for."""
    return frozenset(webhook.events) & (OPERATOR_LINES | {ALERT}) if webhook.format in _FORMATS else frozenset()


class OperatorPosts:
    """Posts events of the relay to one receiver, one after the other."""

    def __init__(self, webhook: Webhook, hostname: str, client: ReceiverClient, clock: Clock) -> None:
        self.types = wanted_types(webhook)
        self._webhook = webhook
        self._sender = sender_of(webhook, hostname)
        self._client = client
        self._clock = clock
        self._waiting: asyncio.Queue[EventBody] = asyncio.Queue(_WAITING)

    def add(self, body: EventBody) -> None:
        """Post an event soon. Neither waits nor raises."""
        if body.type in self.types:
            if self._waiting.full():
                self._waiting.get_nowait()
            self._waiting.put_nowait(body)

    async def run(self, waits: Sequence[float] = ATTEMPTS) -> None:
        """Post until cancelled."""
        async with self._client:
            while True:
                await self._post(await self._waiting.get(), waits)

    async def _post(self, body: EventBody, waits: Sequence[float]) -> None:
        for wait in (*waits, 0.0):
            post = signed(_FORMATS[self._webhook.format](body, self._sender), self._sender, self._clock())
            response = await self._client.post(post.body, post.headers)
            if 200 <= response.status < 300 or response.status == 410:
                return
            await asyncio.sleep(wait)
