"""The format `slack`: one sentence for a chat. Mattermost, Rocket.Chat and Discord (`/slack`) take it too."""

from collections.abc import Sequence

from relay.webhooks.bodies import MessageEvent, OperatorEvent
from relay.webhooks.build import Record
from relay.webhooks.shapes.facts import encoded
from relay.webhooks.shapes.post import JSON_TYPE, Post, Sender, Shape

_LONGEST = 2000
"""Characters of a message, at most."""


def _takes(_: Record) -> bool:
    return True


def _encode(records: Sequence[Record], _sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    text = _escaped(sentence(record))[:_LONGEST]
    return Post(record.id, encoded({"text": text}), {"Content-Type": JSON_TYPE})


def sentence(record: Record) -> str:
    """Return an event as one sentence."""
    data = record.body.data
    if isinstance(data, OperatorEvent):
        return f"{record.type}: {data.text} ({data.hostname})"
    assert isinstance(data, MessageEvent)
    details = [getattr(data, name, None) for name in ("reason", "url", "reply_subject")]
    reply = getattr(data, "reply", None)
    answer = f"{reply.code} {reply.status} {reply.text}".strip() if reply is not None else ""
    more = next((one for one in (*details, answer) if one), "")
    about = f"{record.type}: {data.recipient} {data.queue_id}"
    return f"{about} ({more})" if more else about


def _escaped(text: str) -> str:
    """Escape what Slack reads as markup: text from outside must mention nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


SLACK = Shape(_takes, _encode)
