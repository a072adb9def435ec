"""The format `slack`: one sentence for a chat. Mattermost, Rocket.Chat and Discord (`/slack`) take it too."""

from collections.abc import Sequence

from relay.webhooks.bodies import EventBody, MessageEvent
from relay.webhooks.build import Record
from relay.webhooks.formats.post import JSON_TYPE, Post, PostFormat, Sender
from relay.webhooks.formats.record_fields import encoded

_MAX_TEXT = 2000
"""Characters of a message, at most."""


def _takes(_: Record) -> bool:
    return True


def _encode(records: Sequence[Record], sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    return slack_post(record.body, sender)


def slack_post(body: EventBody, _: Sender) -> Post:
    """Return the post of one event, of a message or of the relay."""
    text = _escaped(_sentence(body)[:_MAX_TEXT])
    return Post(body.data.id, encoded({"text": text}), {"Content-Type": JSON_TYPE})


def _sentence(body: EventBody) -> str:
    data = body.data
    if not isinstance(data, MessageEvent):
        return f"{body.type}: {data.text} ({data.hostname})"
    details = [getattr(data, name, None) for name in ("reason", "url", "reply_subject")]
    reply = getattr(data, "reply", None)
    answer = f"{reply.code} {reply.status} {reply.text}".strip() if reply is not None else ""
    more = next((one for one in (*details, answer) if one), "")
    about = f"{body.type}: {data.recipient} {data.queue_id}"
    return f"{about} ({more})" if more else about


def _escaped(text: str) -> str:
    """Escape what Slack reads as markup: text from outside must mention no person."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


SLACK = PostFormat(_takes, _encode)
