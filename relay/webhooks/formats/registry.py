"""All formats by name, and the whole post: encoded in its format, with the signature of Standard Webhooks."""

from collections.abc import Mapping, Sequence

from relay.config.webhooks import Webhook, WebhookFormat
from relay.webhooks.build import Record
from relay.webhooks.formats.cloudevents import CLOUDEVENTS, CLOUDEVENTS_BINARY
from relay.webhooks.formats.mailgun import MAILGUN
from relay.webhooks.formats.post import Post, PostFormat, Sender
from relay.webhooks.formats.postmark import POSTMARK
from relay.webhooks.formats.sendgrid import SENDGRID
from relay.webhooks.formats.ses import SES
from relay.webhooks.formats.slack import SLACK
from relay.webhooks.formats.standard import STANDARD
from relay.webhooks.signing import parse_key, standard_headers

FORMATS: Mapping[WebhookFormat, PostFormat] = {
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
    """Return what the formats need of a webhook."""
    secrets = [one.get_secret_value() for one in webhook.secret]
    return Sender(webhook.name, hostname, tuple(map(parse_key, secrets)), secrets[0] if secrets else "")


def compose(post_format: PostFormat, records: Sequence[Record], sender: Sender, now: float, token: str) -> Post:
    """Return the post of some records, signed at this time."""
    return signed(post_format.encode(records, sender, now, token), sender, now)


def signed(post: Post, sender: Sender, now: float) -> Post:
    """Return a post with the signature of Standard Webhooks, made at this time."""
    return Post(post.id, post.body, {**standard_headers(sender.keys, post.id, now, post.body), **post.headers})
