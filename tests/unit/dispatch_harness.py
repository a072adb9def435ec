"""Two providers, outcomes of theirs, and entries for the tests of the dispatch."""

import asyncio
from dataclasses import dataclass, replace

from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Deferred, Outcome, Refused
from relay.queue.ports import DeliveryJob
from relay.render.message_policy import MessagePolicy
from tests.unit.queue_harness import CONTENT, NOW, OK, Harness

PROVIDERS = {
    "provider": [
        {"name": "newsletter", "host": "127.0.0.1"},
        {"name": "backup", "host": "127.0.0.1"},
    ]
}

BOTH = MessagePolicy(provider="newsletter", fallback_providers=("backup",))

ALONE = MessagePolicy(provider="newsletter")

LOGIN = Deferred(
    Reply(454, "4.7.0", "AUTH was refused: 535 5.7.8 no"), "[127.0.0.1]:587", lane_down=True, locked_out=True
)

UNREACHABLE = Deferred(Reply(451, "4.4.1", "no connection: refused"), "[127.0.0.1]:587", lane_down=True)

SUSPENDED = Refused(Reply(550, "5.7.1", "Your account has been suspended for sending"), "[127.0.0.1]:587")

MAYBE = Deferred(Reply(451, "4.4.2", "no answer to the final dot"), "[127.0.0.1]:587", uncertain=True)

AGAIN = "M000000000000"
"""The first thirteen characters of the tests' queue ids."""


@dataclass
class ByLane:
    """Delivery with one fixed outcome per lane, by default 250."""

    answers: dict[str, Outcome]

    def __post_init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.special: dict[str, Outcome] = {}
        """Answers for single recipients, whatever the lane."""

    async def deliver(self, lane: str, job: DeliveryJob) -> list[Outcome]:
        answer = self.special.get(job.entries[0].recipient) or self.answers.get(lane, OK)
        self.seen += [(lane, entry.recipient) for entry in job.entries]
        if gate := self.gates.get(job.entries[0].recipient):
            await gate.wait()
        return [answer] * len(job.entries)


async def enqueue(harness: Harness, number: int, policy: MessagePolicy = BOTH, author: str = "app@acme.test") -> None:
    message = Message(f"{AGAIN}{number}", NOW, author, policy, header_from=author, size=len(CONTENT))
    lane = "provider:newsletter" if policy.provider == "newsletter" else "mx:x.test"
    entry = Entry(message.queue_id, 0, f"u{number}@x.test", lane, NOW, NOW + 259200.0, harness.now)
    await harness.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
    harness.runner.wake()


async def states(harness: Harness, expected: dict[State, int]) -> list[Entry]:
    async def there() -> bool:
        if harness.is_publishing and State.ACTIVE not in expected:
            return False
        found = [one.state for one in await harness.entries()]
        return all(found.count(state) == count for state, count in expected.items()) and len(found) == sum(
            expected.values()
        )

    await harness.until(there)
    return await harness.entries()


def use(harness: Harness, **answers: Outcome) -> ByLane:
    """Make the harness deliver by lane. Keyword arguments name the providers."""
    delivery = ByLane({f"provider:{name}": outcome for name, outcome in answers.items()})
    harness.runner._attempt._transmitter._context = replace(harness.context, delivery=delivery)
    return delivery
