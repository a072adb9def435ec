"""The rate limits that count a message of the queue. Pure."""

from relay.config.settings import Settings
from relay.limits.principal import limits_for, principal_of, provider_limits
from relay.limits.window import Ledgers
from relay.queue.message import Message


def ledgers_of(settings: Settings, message: Message, provider: str, *, is_copy: bool = False) -> Ledgers:
    """Return the windows of a message, or of its copies, at that provider. Notifications have none.

    Copies and forwarded mail count against the provider's limits only. Mail of an application counts even with a null
    reverse-path.
    """
    if not message.reverse_path and (not message.client or message.policy.forward_domain):
        return {}
    if is_copy or message.policy.forward_domain:
        return provider_limits(settings, provider)
    author = message.header_from or message.reverse_path
    return limits_for(settings, principal_of(settings, author, message.credential, message.client), provider)
