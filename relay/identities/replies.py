"""How answers to a message come back, as its identity has it. Pure."""

from dataclasses import dataclass

from relay.config.settings import Settings
from relay.mail.address import is_address

MOST_HOMES = 10
"""Addresses of a Reply-To that answers are passed on to. More of them are a way to write to many by one mail."""


@dataclass(frozen=True, slots=True)
class Replies:
    """What is frozen into a message about its answers; empty when they go wherever its own header says."""

    domain: str = ""
    """Domain of the signed Reply-To addresses through which they are tracked."""
    home: tuple[str, ...] = ()
    """Where the application wanted them, when they are tracked."""
    fixed: str = ""
    """The Reply-To that is added because there is none."""


def replies_of(settings: Settings, author: str, given: tuple[str, ...] | None, *, signed: bool) -> Replies:
    """Return how answers to a message of this author come back.

    `given` are the addresses of the application's own Reply-To, None when it has none. A fixed `reply_to` rules
    tracking out; it neither replaces what was given nor breaks a signature that is there. A Reply-To with more than
    MOST_HOMES addresses stays as it was given, and what is no address in it leads nowhere.
    """
    identity = settings.identity_for(author)
    if identity is None:
        return Replies()
    if identity.reply_to:
        return Replies(fixed=identity.reply_to if given is None and not signed else "")
    if identity.reply_tracking:
        home = tuple(one for one in given or () if is_address(one))
        too_many = len(home) > MOST_HOMES
        return Replies() if too_many else Replies(domain=settings.domain_for(author).reply_domain, home=home)
    return Replies()
