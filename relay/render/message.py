"""A message to be rendered, its rendering, and how it leaves unmodified. Pure; loads nothing that rewrites.

Processes that have renderers need no more than this of rendering.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Self

from relay.domains.relay_keys import Keys
from relay.frozen import dataclass
from relay.limits.priority import Flow
from relay.mail.control_headers import is_removed, may_hold_removed_field
from relay.mail.dialects.table import dialect_of
from relay.mail.headers import body_start, fields, without
from relay.mail.srs import srs_encode
from relay.render.message_policy import MessagePolicy
from relay.rewrite.tokens import Keyring, Kind, Token, sign_address_token


@dataclass(frozen=True, slots=True)
class RenderInput:
    """The part of a stored message that rendering needs."""

    queue_id: str
    created_at: float
    """Unix seconds."""
    reverse_path: str
    content: bytes
    policy: MessagePolicy = field(default_factory=MessagePolicy)
    flow: Flow = field(default_factory=Flow)
    """Principal and priority: who waits for a renderer takes turns. Rendering itself ignores it."""

    def without_tracking(self) -> Self:
        """Return the message without changed links and without a pixel."""
        return replace(self, policy=replace(self.policy, tracking=None))


@dataclass(frozen=True, slots=True)
class RenderedContent:
    """The content as sent to one recipient."""

    content: bytes
    notes: Mapping[str, object]
    """Notes for the events of the message: JSON values."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """The message as sent to one recipient: the reverse-path, and the fields of `RenderedContent`."""

    reverse_path: str
    content: bytes
    notes: Mapping[str, object]


def render_unmodified(message: RenderInput, recipient: int, keys: Keys, reason: str) -> Rendering:
    """Return the message neither rewritten nor adapted nor signed, for when rendering itself failed."""
    path = reverse_path_for(message, recipient, keys.tokens)
    return Rendering(path, outgoing_content(message), {"skipped": [reason]})


def outgoing_content(message: RenderInput) -> bytes:
    """Return the content before rewriting: our fields added in front; X-Relay-*, Bcc and fields of dialects removed.

    Nothing is removed from a forwarded message, because its signatures must stay valid.
    """
    policy, content = message.policy, message.content
    kept = content if policy.forward_domain else _without_hidden(content, policy.dialects)

    # Content that begins with white space has no header. It must not become a continuation of our last field.
    headless = policy.added_fields and kept.startswith((b" ", b"\t"))
    return policy.added_fields + b"\r\n" + kept if headless else policy.added_fields + kept


def _without_hidden(content: bytes, dialects: Sequence[str]) -> bytes:
    """Return the content without the fields for the relay, or for the mail service in whose place it is."""
    if not dialects and not may_hold_removed_field(content[: body_start(content)]):
        return content
    hidden = [one for one in fields(content) if is_removed(one) or (dialects and dialect_of(one.name) in dialects)]
    return without(content, hidden) if hidden else content


def reverse_path_for(message: RenderInput, recipient: int, keyring: Keyring) -> str:
    """Return the reverse-path for that recipient.

    It is rewritten (SRS) for forwarded mail whose sender is proven, and null for a null one. Else it is a signed
    return-path if the domain has one or the mail is forwarded. Without one it is the address of the bounce mailbox, or
    that of the application.
    """
    policy = message.policy
    return_path = policy.return_path
    if policy.forward_domain and policy.unproven_sender:
        return_path = policy.forward_domain
    elif policy.forward_domain:
        return srs_encode(keyring.keys[0][1], message.reverse_path, policy.forward_domain, message.created_at)
    if not (return_path and message.reverse_path):
        return message.reverse_path and (policy.bounce_address or message.reverse_path)
    token = sign_address_token(keyring, Token(Kind.BOUNCE, message.queue_id, recipient))
    return f"{token}@{return_path}"
