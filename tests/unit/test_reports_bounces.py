"""The report's arithmetic: each recipient once, late bounces taken from the delivered, replies gathered; all pages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from relay.events.event import Kind
from relay.reports import build
from relay.reports.bounces import NOWHERE, site_of
from relay.reports.ports import Failure, MessageQuery, Tally

MX = "mx1.google.com[192.0.2.1]:25"

GONE = Failure(
    Kind.BOUNCED,
    2000.0,
    "A",
    0,
    "u@x.test",
    {
        "category": "bad_mailbox",
        "rule": "user-unknown",
        "reply": "550 5.1.1 <u@x.test> unknown, id 1234567a",
        "remote": MX,
    },
)

LATE = replace(GONE, queue_id="B", address="v@y.test", data={**GONE.data, "late": True, "remote": "mx.y.test"})

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

REMOTES = [
    Tally(MX, "bounced", 1),
    Tally("mx2.google.com[192.0.2.2]:25", "delivered", 5),
    Tally("", "bounced", 1),
    Tally("mx.y.test[192.0.2.9]:25", "delivered", 3),
]


class Store:
    """Failures in pages of two."""

    def __init__(self, *failures: Failure) -> None:
        self.kept = failures

    async def tallies(self, query: MessageQuery) -> Sequence[Tally]:
        return TALLIES if self.kept else []

    async def remotes(self, query: MessageQuery) -> Sequence[Tally]:
        return REMOTES if self.kept else []

    async def failures(
        self, query: MessageQuery, kinds: Sequence[Kind], category: str = "", before: Failure | None = None
    ) -> Sequence[Failure]:
        start = self.kept.index(before) + 1 if before else 0
        found = [
            one
            for one in self.kept[start:]
            if one.kind in kinds and category in ("", "unknown", one.data.get("category"))
        ]
        return found[:2]


async def bounces(*failures: Failure, category: str = "") -> Any:
    return await build.bounces(Store(*failures), MessageQuery(), category)


async def test_totals_and_rates_count_recipients_once() -> None:
    found = await bounces(GONE, replace(GONE, id=7), LATE, ODD, COMPLAINT)
    keys = ("recipients", "delivered", "bounced", "dropped", "waiting", "late", "complaints")
    assert [found[key] for key in keys] == [16, 7, 3, 4, 2, 1, 1]
    assert (found["bounce_rate"], found["complaint_rate"]) == (0.3, 0.125)


async def test_bounces_are_broken_down_by_category() -> None:
    found = await bounces(GONE, LATE, ODD)
    categories = {one["category"]: one for one in found["categories"]}
    assert {name: (one["bounced"], one["share"]) for name, one in categories.items()} == {
        "bad_mailbox": (2, 0.6667),
        "unknown": (1, 0.3333),
    }
    assert categories["bad_mailbox"]["guidance"]
    destinations = [(one["destination"], one["bounced"], one["categories"]) for one in found["destinations"]]
    assert destinations == [("x.test", 2, {"bad_mailbox": 1, "unknown": 1}), ("y.test", 1, {"bad_mailbox": 1})]
    assert [one["count"] for one in found["replies"]] == [2, 1]


async def test_sites_are_the_operators_of_the_servers() -> None:
    found = await bounces(GONE, LATE, ODD)
    assert [(one["site"], one["delivered"], one["bounced"], one["categories"]) for one in found["sites"]] == [
        (NOWHERE, 0, 1, {"unknown": 1}),
        ("google", 5, 1, {"bad_mailbox": 1}),
        ("y.test", 2, 1, {"bad_mailbox": 1}),
    ]


@pytest.mark.parametrize(
    ("remote", "site"),
    [
        ("alt1.gmail-smtp-in.l.google.com[192.0.2.1]:25", "google"),
        ("acme-test.mail.protection.outlook.com", "microsoft"),
        ("acme-test.a-v1.mx.microsoft[192.0.2.1]:25", "microsoft"),
        ("mta7.am0.yahoodns.net", "yahoo"),
        ("mx1.eu.mailhop.example.co.uk[192.0.2.1]:25", "example.co.uk"),
        ("notgoogle.com", "notgoogle.com"),
        ("[192.0.2.1]:25", "[192.0.2.1]:25"),
        ("", NOWHERE),
    ],
)
def test_the_site_of_a_host_is_found(remote: str, site: str) -> None:
    assert site_of(remote) == site


async def test_a_category_limits_the_breakdown_but_not_the_totals() -> None:
    found = await bounces(GONE, ODD, category="unknown")
    assert [one["category"] for one in found["categories"]] == ["unknown"]
    assert found["bounced"] == 2


async def test_bounced_recipients_are_listed_in_pages_and_once_each() -> None:
    store = Store(GONE, replace(GONE, id=7), LATE, COMPLAINT, ODD)
    pages = [page async for page in build.bounced_messages(store, MessageQuery())]
    assert [[one["queue_id"] for one in page] for page in pages] == [["A"], ["B", "C"]]
    pages = [page async for page in build.bounced_messages(store, MessageQuery(), "unknown")]
    assert [one["queue_id"] for page in pages for one in page] == ["C"]


async def test_unclassified_replies_are_grouped_by_masked_text() -> None:
    again = replace(ODD, queue_id="E", data={**ODD.data, "reply": "550 zork 78"})
    by_code = replace(ODD, queue_id="F", data={"category": "policy", "rule": "code-x", "reply": "554 zork"})
    found = await build.unclassified(Store(ODD, again, by_code, GONE), MessageQuery())
    assert [(one["count"], one["reply"], one["example"]) for one in found] == [
        (2, "550 zork <n>", "550 zork 77"),
        (1, "554 zork", "554 zork"),
    ]


async def test_deliveries_are_counted_by_destination() -> None:
    found: Any = await build.deliveries(Store(LATE, replace(LATE, id=7)), MessageQuery())
    rows = [(one["destination"], one["recipients"], one["bounced"]) for one in found["destinations"]]
    assert rows == [("y.test", 9, 1), ("x.test", 7, 2)]


async def test_a_report_without_messages_is_empty() -> None:
    found = await bounces()
    assert (found["recipients"], found["bounce_rate"], found["categories"], found["sites"]) == (0, 0.0, [], [])
