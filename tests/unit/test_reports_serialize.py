"""Times of reports: RFC 3339, and null for what that cannot write."""

import pytest

from relay.events.event import Event, Kind
from relay.reports.serialize import event_json, time_json


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (1_800_000_000.25, "2027-01-15T08:00:00.250Z"),
        (0, None),
        (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        (1.8e12, None),
        (-62_135_596_801.0, None),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
def test_no_time_makes_a_report_fail(at: float, written: str | None) -> None:
    assert time_json(at) == written
    event = event_json(Event(Kind.OPEN, at, "A", 0, data={"last_at": at}))
    assert (event["at"], event["last_at"]) == (written, written)
