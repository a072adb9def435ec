"""A message with active entries, and `settled`: the settlement of outcomes by the default bounce rules."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from relay.dsn.rules_file import built_in_rules
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.due_dsns import DsnSender
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.outcome import Outcome
from relay.queue.retry import RetrySchedule
from relay.queue.settlement import AttemptInfo, settle

POLICY = BouncePolicy(built_in_rules, threshold=3)

LANE = "mx:x.test"

SCHEDULE = RetrySchedule(retry=(60.0, 300.0), lifetime=1000.0, delay_notice=500.0)

CONTENT = b"From: app@acme.test\r\nSubject: invoice 1042\r\nMessage-ID: <1@acme.test>\r\n\r\nHello\r\n"

MESSAGE = Message("0000000000000A", 0.0, "app@acme.test", envid="QQ314159", message_id="<1@acme.test>")

OK = Reply(250, "2.0.0", "Ok: queued as 77")

NO = Reply(550, "5.1.1", "no such user")

BUSY = Reply(451, "4.3.2", "busy")


def entry(number: int = 0, **changes: object) -> Entry:
    base = Entry("0000000000000A", number, f"u{number}@x.test", "mx:x.test", 0.0, 1000.0, 0.0, state=State.ACTIVE)
    return replace(base, **changes)  # type: ignore[arg-type]


def ids() -> Iterator[str]:
    return (f"0000000000R{number:03}" for number in count())


def settled(entries: list[Entry], outcomes: list[Outcome], now: float = 10.0, message: Message = MESSAGE) -> Settlement:
    claimed = ClaimedBatch(message, CONTENT, tuple(entries))
    attempt = AttemptInfo(now - 1, now, 0.0, {"pixel": True})
    classified = POLICY.classify_all(outcomes, LANE)
    return settle(claimed, classified, attempt, SCHEDULE, DsnSender("mx.test"), ids(), POLICY, "").composed()
