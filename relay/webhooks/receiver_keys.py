"""What the receiver of a webhook needs to verify its posts: the secret, or a public key. Pure."""

from collections.abc import Sequence

from relay.config.webhooks import Webhook
from relay.webhooks.formats.registry import sender_of
from relay.webhooks.signing import Ed25519Key, sendgrid_key, sendgrid_public


def receiver_keys(webhook: Webhook, hostname: str) -> Sequence[tuple[str, str]]:
    """Return title and text of each key, newest first; none for a webhook that does not sign."""
    sender = sender_of(webhook, hostname)
    if webhook.format == "sendgrid":
        return [("verification key", sendgrid_public(sendgrid_key(sender.keys[0])))]
    if webhook.format == "mailgun":
        return [("HTTP webhook signing key", sender.secret)]
    pairs = zip(sender.keys, webhook.secret, strict=True)
    return [
        ("public key", key.public) if isinstance(key, Ed25519Key) else ("secret", text.get_secret_value())
        for key, text in pairs
    ]
