"""What answers mean, and when to try again."""

import pytest

from relay.events.event import Kind
from relay.webhooks.batches import batches, partitions
from relay.webhooks.progress import Answer, Progress
from relay.webhooks.response_meaning import (
    Accepted,
    Failed,
    Gone,
    Meaning,
    Refused,
    Response,
    Unavailable,
    classify_response,
    retry_after_seconds,
    retry_at,
)
from tests.contract.values import NOW
from tests.unit.test_webhooks_formats import record


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        *((status, Accepted()) for status in (200, 201, 202, 204, 299)),
        *((status, Unavailable()) for status in (0, 100, 301, 302, 307, 401, 403, 404, 405, 408, 429, 502, 503, 504)),
        *((status, Refused()) for status in (400, 406, 409, 413, 415, 422, 451)),
        *((status, Failed()) for status in (500, 501, 505, 520)),
        (410, Gone()),
    ],
)
def test_each_status_has_a_meaning(status: int, meaning: Meaning) -> None:
    assert classify_response(Response(status), NOW) == meaning


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("99999999999999999999", 86400.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2016 08:01:00 GMT", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float) -> None:
    assert retry_after_seconds(text, NOW) == seconds


def test_waits_grow_by_the_schedule_and_stay_at_its_end() -> None:
    waits = [retry_at((5.0, 300.0), attempts, NOW, 0.0) - NOW for attempts in (0, 1, 2, 3, 99)]
    assert waits == [5, 5, 300, 300, 300]
    assert retry_at((10.0,), 1, NOW, 1.0) - NOW == 11
    assert retry_at((10.0,), 1, NOW, -1.0, 60.0) - NOW == 60


def test_a_type_is_stopped_only_when_others_are_accepted_meanwhile() -> None:
    no = Answer(NOW, 400, "no")
    progress = Progress(accepted_at=NOW - 100)
    for number in range(5):
        progress = progress.refuse("message.open", Answer(NOW + number, 400, "no"))
    assert progress.stopped == frozenset()
    progress = progress.accept(frozenset({"message.click"}), 1, Answer(NOW + 9, 200, ""))
    assert progress.refuse("message.open", no).stopped == {"message.open"}
    accepted = progress.accept(frozenset({"message.open"}), 1, Answer(NOW + 9, 200, ""))
    assert accepted.refusals == {}


def test_records_of_one_message_stay_in_one_partition_in_order() -> None:
    records = [record(Kind.OPEN, id=str(number)) for number in range(9)]
    (partition,) = partitions(records, 4)
    assert partition == records
    assert [len(batch) for batch in batches(records, 4)] == [4, 4, 1]
    assert [len(batch) for batch in batches(records, 1)] == [1] * 9
    assert list(batches([], 4)) == []
