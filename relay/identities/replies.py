"""How answers to a message come back, as its identity has it. Pure."""

from dataclasses import dataclass

from relay.config.settings import Settings


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
    tracking out; it neither replaces what was given nor breaks a signature that is there.
    """
    identity = settings.identity_for(author)
    if identity is None:
        return Replies()
    if identity.reply_to:
        return Replies(fixed=identity.reply_to if given is None and not signed else "")
    if identity.reply_tracking:
        return Replies(domain=settings.domain_for(author).reply_domain, home=given or ())
    return Replies()
