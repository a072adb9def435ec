"""All formats by name, and the whole post: the shape of the format, with the signature of Standard Webhooks."""

from collections.abc import Mapping, Sequence

from relay.config.webhooks import Webhook, WebhookFormat
from relay.webhooks.build import Record
from relay.webhooks.shapes.cloudevents import CLOUDEVENTS, CLOUDEVENTS_BINARY
from relay.webhooks.shapes.mailgun import MAILGUN
from relay.webhooks.shapes.post import Post, Sender, Shape
from relay.webhooks.shapes.postmark import POSTMARK
from relay.webhooks.shapes.sendgrid import SENDGRID
from relay.webhooks.shapes.ses import SES
from relay.webhooks.shapes.slack import SLACK
from relay.webhooks.shapes.standard import STANDARD
from relay.webhooks.signing import parse_key, standard_headers

SHAPES: Mapping[WebhookFormat, Shape] = {
    "standard": STANDARD,
    "sendgrid": SENDGRID,
    "mailgun": MAILGUN,
    "postmark": POSTMARK,
    "ses": SES,
    "cloudevents": CLOUDEVENTS,
    "cloudevents-binary": CLOUDEVENTS_BINARY,
    "slack": SLACK,
}


def sender_of(webhook: Webhook, hostname: str) -> Sender:
    """Return what the shapes need of a webhook."""
    secrets = [one.get_secret_value() for one in webhook.secret]
    return Sender(webhook.name, hostname, tuple(map(parse_key, secrets)), secrets[0] if secrets else "")


def compose(shape: Shape, records: Sequence[Record], sender: Sender, now: float, token: str) -> Post:
    """Return the post of some records, signed at this time."""
    return signed(shape.encode(records, sender, now, token), sender, now)


def signed(post: Post, sender: Sender, now: float) -> Post:
    """Return a post with the signature of Standard Webhooks, made at this time."""
    return Post(post.id, post.body, {**standard_headers(sender.keys, post.id, now, post.body), **post.headers})
