"""Cache of decisions about mail that asks for nothing: they depend on the sender alone, and are made once for it."""

from relay.config.settings import Settings
from relay.mail.instructions import NO_INSTRUCTIONS
from relay.mail.transaction import Envelope, Session
from relay.policy.decide import Acceptance, Rejection, decide
from relay.policy.message_facts import MessageFacts
from relay.policy.refusals import refuse_header

_MAX_KNOWN = 512
"""Decisions that are kept, at most."""

_MAX_LENGTH = 320
"""Characters of an author, at most, whose decisions are kept: a client can write any From."""

Key = tuple[str, str, str, bool, bool, bool]


class DecisionCache:
    """Decides as `relay.policy.decide` does. What is kept holds for the settings it was made with."""

    def __init__(self) -> None:
        self._kept: tuple[Settings | None, dict[Key, Acceptance]] = (None, {})

    def decide(
        self, settings: Settings, session: Session, envelope: Envelope, facts: MessageFacts, now: float
    ) -> Acceptance | Rejection:
        """Decide about a whole message: reject it, or accept it with its policy and its limits."""
        key = _key(session, envelope, facts)
        if key is None:
            return decide(settings, session, envelope, facts, now)
        known = self._known(settings)
        kept = known.get(key)
        if kept is not None:
            refusal = refuse_header(settings, facts)
            return kept if refusal is None else Rejection(refusal)

        found = decide(settings, session, envelope, facts, now)
        if isinstance(found, Acceptance):
            if len(known) >= _MAX_KNOWN:
                known.clear()
            known[key] = found
        return found

    def _known(self, settings: Settings) -> dict[Key, Acceptance]:
        """Return the decisions for these settings. A thread may still ask for those before a reload."""
        of, known = self._kept
        if of is not settings:
            known = {}
            self._kept = (settings, known)
        return known


def _key(session: Session, envelope: Envelope, facts: MessageFacts) -> Key | None:
    """Return all that the decisions depend on but the form of the header.

    None for mail that asks for something, and for mail of several authors or senders.
    """
    if facts.instructions is not NO_INSTRUCTIONS or facts.reply_to is not None:
        return None
    if len(facts.senders) != 1 or facts.agents:
        return None
    author = facts.senders[0]
    if len(author) > _MAX_LENGTH:
        return None
    is_notification = not envelope.reverse_path
    return author, session.credential, session.client, is_notification, facts.is_signed, facts.is_bulk
