"""Messages accepted lately are kept in memory for their first claim, within bounds."""

from dataclasses import replace

from relay.content_file import LARGE
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.storage.recent_messages import RecentMessages
from tests.contract.values import accepted


def of(queue_id: str, octets: int = 10, state: State = State.WAITING) -> NewMessage:
    made = accepted(queue_id, content=bytes(octets))
    return replace(made, entries=tuple(replace(entry, state=state) for entry in made.entries))


def test_a_message_is_taken_once() -> None:
    recent, message = RecentMessages(), of("A")
    recent.add([message])
    assert "A" in recent
    assert recent.take("A", LARGE) == (message.message, message.content, "")
    assert recent.take("A", LARGE) is None
    assert "A" not in recent


def test_a_content_that_does_not_fit_stays() -> None:
    recent = RecentMessages()
    recent.add([of("A", 10)])
    assert recent.take("A", 9) is None
    assert recent.take("A", 10) is not None


def test_large_messages_and_those_without_a_claim_are_not_kept() -> None:
    recent = RecentMessages()
    recent.add([of("A", LARGE + 1), of("B", state=State.ACTIVE), of("C", state=State.DROPPED)])
    assert not any(queue_id in recent for queue_id in "ABC")


def test_the_oldest_are_forgotten_for_octets_and_for_number() -> None:
    recent = RecentMessages(max_octets=25, max_messages=10)
    recent.add([of(queue_id) for queue_id in "ABC"])
    assert [queue_id for queue_id in "ABC" if queue_id in recent] == ["B", "C"]

    recent = RecentMessages(max_messages=2)
    recent.add([of(queue_id) for queue_id in "ABC"])
    assert [queue_id for queue_id in "ABC" if queue_id in recent] == ["B", "C"]


def test_a_transaction_that_runs_again_counts_once() -> None:
    recent = RecentMessages(max_octets=20)
    for _ in range(3):
        recent.add([of("A")])
    recent.add([of("B")])
    assert "A" in recent
    assert "B" in recent
