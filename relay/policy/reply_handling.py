"""Decides where the answers to a message go. Pure."""

from dataclasses import dataclass

from relay.config.settings import Settings
from relay.mail.address import is_address
from relay.mail.address_list import Unreadable

MAX_REPLY_TO = 10
"""Maximum addresses of a Reply-To to which answers are forwarded; one answer must not reach an unlimited number."""


@dataclass(frozen=True, slots=True)
class ReplyHandling:
    """Handling of a message's answers; empty if they go where its header says."""

    domain: str = ""
    """Domain of the signed Reply-To addresses, "" without reply tracking."""
    reply_to: tuple[str, ...] = ()
    """The application's Reply-To addresses, when answers are tracked."""
    fixed: str = ""
    """The Reply-To to add, "" for none."""


def reply_handling(
    settings: Settings, author: str, reply_to: tuple[str, ...] | Unreadable | None, *, signed: bool
) -> ReplyHandling:
    """Return the handling of answers to a message of this author.

    `reply_to` are the addresses of the application's Reply-To, None when it has none. A configured `reply_to` excludes
    tracking. It does not replace the application's Reply-To and does not break a signature. Nor does `forward_to`; only
    `reply_tracking` replaces it. A Reply-To with more than MAX_REPLY_TO addresses, or an unreadable one, is unchanged.
    """
    identity = settings.identity_for(author)
    if identity is None or isinstance(reply_to, Unreadable):
        return ReplyHandling()
    if identity.reply_to:
        return ReplyHandling(fixed=identity.reply_to if reply_to is None and not signed else "")
    if identity.reply_tracking or (identity.tracks_replies and reply_to is None and settings.takes_inbound):
        addresses = tuple(one for one in reply_to or () if is_address(one))
        too_many = len(addresses) > MAX_REPLY_TO
        return (
            ReplyHandling()
            if too_many
            else ReplyHandling(domain=settings.domain_for(author).reply_domain, reply_to=addresses)
        )
    return ReplyHandling()
