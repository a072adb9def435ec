"""The retry schedule, and the 72 hours of a message in injected time."""

from itertools import count

from relay.dsn.bounce_rules import Rules
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.due_dsns import DsnSender
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message
from relay.queue.outcome import Deferred
from relay.queue.retry import RetrySchedule, next_attempt
from relay.queue.settlement import AttemptInfo, settle

MINUTE, HOUR = 60.0, 3600.0

DEFAULT = RetrySchedule(
    retry=(MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR),
    lifetime=72 * HOUR,
    delay_notice=4 * HOUR,
)


def test_waits_grow_and_the_last_repeats() -> None:
    waits = [next_attempt(DEFAULT, tries, 0.0, 72 * HOUR, 0.0, 0.0) for tries in (1, 2, 9, 10, 30)]
    assert waits == [MINUTE, 5 * MINUTE, 6 * HOUR, 6 * HOUR, 6 * HOUR]


def test_jitter_is_a_tenth_either_way() -> None:
    assert next_attempt(DEFAULT, 1, 0.0, 72 * HOUR, 1.0, 0.0) == 66.0
    assert next_attempt(DEFAULT, 1, 0.0, 72 * HOUR, -1.0, 0.0) == 54.0


def test_a_wait_requested_by_the_server_is_kept() -> None:
    assert next_attempt(DEFAULT, 1, 0.0, 72 * HOUR, 0.0, 900.0) == 900.0


def test_72_hours_of_attempts_end_in_a_bounce_at_the_last_moment() -> None:
    message = Message("0000000000000A", 0.0, "app@acme.test")
    entry = Entry("0000000000000A", 0, "u@dead.test", "mx:dead.test", 0.0, 72 * HOUR, 0.0)
    reply = Reply(451, "4.4.1", "dead.test does not answer")
    ids = (f"R{number}" for number in count())
    attempts = []
    while not entry.is_final:
        now = entry.next_attempt_at
        attempts.append(now)
        claimed = ClaimedBatch(message, b"Subject: x\r\n\r\nbody\r\n", (replace_active(entry),))
        attempt, policy = AttemptInfo(now, now, 0.0, {}), BouncePolicy(lambda: Rules(()), threshold=3)
        classified = [policy.classify(Deferred(reply), entry.lane)]
        settlement = settle(claimed, classified, attempt, DEFAULT, DsnSender("mx.test"), ids, policy, "")
        (entry,) = settlement.entries
    expected, at = [0.0], 0.0
    for wait in (*DEFAULT.retry, *[6 * HOUR] * 20):
        at += wait
        expected.append(min(at, 72 * HOUR))
        if at >= 72 * HOUR:
            break
    assert attempts == expected
    assert entry.state is State.BOUNCED
    assert entry.last_reply == reply
    assert entry.reason == "not delivered within 72 hours"
    (report,) = settlement.composed().reports
    assert report.entries[0].recipient == "app@acme.test"
    assert settlement.events[-1].data["status"] == "4.4.7"


def replace_active(entry: Entry) -> Entry:
    """Return the entry as claimed."""
    from dataclasses import replace

    return replace(entry, state=State.ACTIVE)
