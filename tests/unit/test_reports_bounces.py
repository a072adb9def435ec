"""The report's arithmetic: each recipient once, late bounces taken from the delivered, replies gathered."""

from dataclasses import replace

from relay.events.event import Kind
from relay.reports.bounces import bounce_report, unclassified_report
from relay.reports.deliveries import delivery_report
from relay.reports.ports import Failure, Tally

GONE = Failure(
    Kind.BOUNCED,
    2000.0,
    "A",
    0,
    "u@x.test",
    {"category": "bad_mailbox", "rule": "user-unknown", "reply": "550 5.1.1 <u@x.test> unknown, id 1234567a"},
)
LATE = replace(GONE, queue_id="B", address="v@y.test", data={**GONE.data, "late": True})
ODD = replace(GONE, queue_id="C", address="w@x.test", data={"category": "unknown", "rule": "", "reply": "550 zork 77"})
COMPLAINT = replace(GONE, kind=Kind.COMPLAINT, queue_id="D", data={"feedback_type": "abuse"})
TALLIES = [
    Tally("x.test", "bounced", 2),
    Tally("x.test", "delivered", 5),
    Tally("y.test", "delivered", 3),
    Tally("y.test", "waiting", 1),
    Tally("y.test", "held", 1),
    Tally("y.test", "dropped", 4),
]


def test_totals_and_rates() -> None:
    found = bounce_report(TALLIES, [GONE, GONE, LATE, ODD, COMPLAINT])
    keys = ("recipients", "delivered", "bounced", "dropped", "waiting", "late", "complaints")
    assert [found[key] for key in keys] == [16, 7, 3, 4, 2, 1, 1]
    assert (found["bounce_rate"], found["complaint_rate"]) == (0.3, 0.125)


def test_breakdown() -> None:
    found = bounce_report(TALLIES, [GONE, LATE, ODD])
    categories = {str(one["category"]): one for one in found["categories"]}  # type: ignore[attr-defined]
    assert {name: (one["bounced"], one["share"]) for name, one in categories.items()} == {
        "bad_mailbox": (2, 0.6667),
        "unknown": (1, 0.3333),
    }
    assert categories["bad_mailbox"]["guidance"]
    destinations = [(one["destination"], one["bounced"], one["categories"]) for one in found["destinations"]]  # type: ignore[attr-defined]
    assert destinations == [("x.test", 2, {"bad_mailbox": 1, "unknown": 1}), ("y.test", 1, {"bad_mailbox": 1})]
    assert [one["count"] for one in found["replies"]] == [2, 1]  # type: ignore[attr-defined]


def test_a_category_narrows_the_breakdown_not_the_totals() -> None:
    found = bounce_report(TALLIES, [GONE, ODD], "unknown")
    assert [one["queue_id"] for one in found["messages"]] == ["C"]  # type: ignore[attr-defined]
    assert found["bounced"] == 2


def test_unclassified_replies_are_gathered_by_what_they_have_in_common() -> None:
    again = replace(ODD, queue_id="E", data={**ODD.data, "reply": "550 zork 78"})
    decided = replace(ODD, queue_id="F", data={**ODD.data, "rule": "code-550"})
    (cluster,) = unclassified_report([ODD, again, decided, GONE])
    assert (cluster["count"], cluster["reply"], cluster["example"]) == (2, "550 zork <n>", "550 zork 77")


def test_deliveries_by_destination() -> None:
    found = delivery_report(TALLIES, [LATE])
    rows = [(one["destination"], one["recipients"], one["bounced"]) for one in found["destinations"]]  # type: ignore[attr-defined]
    assert rows == [("y.test", 9, 1), ("x.test", 7, 2)]


def test_nothing_is_no_fault() -> None:
    found = bounce_report([], [])
    assert (found["recipients"], found["bounce_rate"], found["categories"]) == (0, 0.0, [])
