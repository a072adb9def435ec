"""A spam check of a message: what is checked, its results, and what they mean for the message. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from relay.mail.reply import Reply
from relay.mail.transaction import Transaction
from relay.render.message import RenderInput, outgoing_content
from relay.render.message_policy import MessagePolicy

_IN_REASON, _IN_EVENT = 5, 20
"""Symbols in the reason of a dropped entry, and in events, at most: those with the highest scores."""

Verdict = Literal["ham", "spam", "later"]
"""`later`: the filter asks for a temporary refusal."""


@dataclass(frozen=True, slots=True)
class SpamRequest:
    """A message to check, with its envelope and its client."""

    queue_id: str
    content: bytes
    """The content as the application sent it."""
    added_fields: bytes
    reverse_path: str
    recipients: Sequence[str]
    client: str
    helo: str
    credential: str
    hostname: str
    """Name of this host."""

    def beginning(self, size: int) -> bytes:
        """Return the message as it would be sent, up to the first `size` octets of its content."""
        policy = MessagePolicy(added_fields=self.added_fields)
        return outgoing_content(RenderInput(self.queue_id, 0.0, self.reverse_path, self.content[:size], policy))


@dataclass(frozen=True, slots=True)
class SpamResult:
    """The result of a check. `required` is the score from which mail is spam."""

    verdict: Verdict
    score: float
    required: float
    symbols: tuple[tuple[str, float], ...] = ()
    """Rules that matched, with their scores, the highest first; 0 if the filter names no score."""

    @property
    def reason(self) -> str:
        """The reason of a dropped entry."""
        names = [name for name, _ in self.symbols[:_IN_REASON]]
        more = ["…"] if len(self.symbols) > _IN_REASON else []
        rules = f" ({', '.join(names + more)})" if names else ""
        return f"spam: score {self.score:g} of {self.required:g}{rules}"

    @property
    def event_fields(self) -> dict[str, object]:
        """The fields of the event `created`."""
        rules = [f"{name}({score:g})" if score else name for name, score in self.symbols[:_IN_EVENT]]
        fields: dict[str, object] = {"spam_score": self.score, "spam_required": self.required}
        return fields | ({"spam_symbols": rules} if rules else {})


@dataclass(frozen=True, slots=True)
class Unchecked:
    """The filter could not check the message."""

    why: str

    @property
    def event_fields(self) -> dict[str, object]:
        """The fields of the event `created`."""
        return {"spam_unchecked": self.why}


class SpamFilter(Protocol):
    """Checks messages. Never raises for a fault of the filter."""

    async def check(self, request: SpamRequest) -> SpamResult | Unchecked:
        """Return the result, or why there is none."""


def spam_request(queue_id: str, transaction: Transaction, added_fields: bytes, hostname: str) -> SpamRequest:
    """Return the request for a message with these added fields."""
    envelope, session = transaction.envelope, transaction.session
    return SpamRequest(
        queue_id=queue_id,
        content=transaction.content,
        added_fields=added_fields,
        reverse_path=envelope.reverse_path,
        recipients=tuple(one.address for one in envelope.recipients),
        client=session.client,
        helo=session.helo,
        credential=session.credential,
        hostname=hostname,
    )


def refuse_for_now(outcome: SpamResult | Unchecked | None, *, fail_closed: bool) -> Reply | None:
    """Return the temporary refusal of a message that was not checked, or that the filter delays; else None."""
    if isinstance(outcome, Unchecked) and fail_closed:
        return Reply(451, "4.7.1", "The spam filter does not answer: try again later")
    if isinstance(outcome, SpamResult) and outcome.verdict == "later":
        return Reply(451, "4.7.1", "The spam filter delays this message: try again later")
    return None
