"""Search of messages: each way to find one, with and without the index; page by page, and bounded."""

from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.mail.queue_id import queue_id
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.reports.search import Search, Term, parsed, sender_group
from relay.storage import search, search_blocks, search_sources
from relay.storage.store import Store
from tests.contract.conftest import NOW
from tests.contract.values import accepted

SUBJECTS = (
    *("Invoice 2026-1042", "Your parcel is on the way", "Autumn news", "Über uns: Größe", "請求書のご案内"),
    *("Invoice 2026-1043", "Reset your password"),
)


def name_of(number: int) -> str:
    return queue_id(NOW + number, 7)


def message(number: int, subject: str, *recipients: str, campaign: str = "", state: str = "waiting") -> NewMessage:
    new = accepted(name_of(number), *recipients, at=NOW + number)
    about = replace(
        new.message,
        subject=subject,
        header_from="billing@acme.test" if number % 2 else "news@acme.test",
        policy=replace(new.message.policy, domain="acme.test", provider="direct"),
        campaign=campaign,
        tags=("receipt",) if number == 1 else (),
        metadata={"invoice": str(1042 + number)} if "Invoice" in subject else {},
    )
    entries = tuple(replace(one, state=State(state), lane=f"mx:{one.lane[3:]}") for one in new.entries)
    return replace(new, message=about, entries=entries)


@pytest.fixture(params=[True, False], ids=["indexed", "not indexed"])
async def filled(store: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(search_blocks, "BLOCK", 3)
    for number, subject in enumerate(SUBJECTS):
        campaign = "autumn" if subject == "Autumn news" else ""
        domain = ("gmail.test", "yahoo.test")[number % 2]
        state = {3: "bounced", 4: "dropped", 6: "delivered"}.get(number, "waiting")
        await store.queue.enqueue(message(number, subject, f"u{number}@{domain}", campaign=campaign, state=state))
    if request.param:
        indexed = [await store.searches.extend(NOW + 100) for _ in range(3)]
        assert indexed == [3, 3, 0], "whole blocks only: the newest message is read as it is"
    return store


async def found(store: Store, wanted: Search) -> list[str]:
    page = await store.searches.search(wanted)
    return [story.message.subject for story in page.stories]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("invoice", ["Invoice 2026-1043", "Invoice 2026-1042"]),
        ("INV", ["Invoice 2026-1043", "Invoice 2026-1042"]),
        ("invoice 1042", ["Invoice 2026-1042"]),
        ("1042 invoice", ["Invoice 2026-1042"]),
        ("parcel way", ["Your parcel is on the way"]),
        ("your", ["Reset your password", "Your parcel is on the way"]),
        ("uber grosse", ["Über uns: Größe"]),
        ("ご案内", ["請求書のご案内"]),
        ("nothing", []),
        ("invoice parcel", []),
        ("u0@gmail.test", ["Invoice 2026-1042"]),
        ("U0@Gmail.TEST", ["Invoice 2026-1042"]),
        ("billing@acme.test", ["Invoice 2026-1043", "Über uns: Größe", "Your parcel is on the way"]),
        ("billing@acme.test invoice", ["Invoice 2026-1043"]),
        ("yahoo.test", ["Invoice 2026-1043", "Über uns: Größe", "Your parcel is on the way"]),
        ("invoice=1042", ["Invoice 2026-1042"]),
        ("invoice=1047", ["Invoice 2026-1043"]),
        ("invoice=9999", []),
        ("#receipt", ["Your parcel is on the way"]),
        ("", [*reversed(SUBJECTS)]),
        ("'; DROP TABLE messages; --", []),
        ("%", [*reversed(SUBJECTS)]),
    ],
)
async def test_what_a_person_enters_is_found(filled: Store, query: str, expected: list[str]) -> None:
    assert await found(filled, parsed(query)) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Search(statuses=frozenset({"bounced"})), ["Über uns: Größe"]),
        (Search(statuses=frozenset({"dropped"})), ["請求書のご案内"]),
        (Search(statuses=frozenset({"bounced", "dropped"})), ["請求書のご案内", "Über uns: Größe"]),
        (Search(statuses=frozenset({"delivered"})), ["Reset your password"]),
        (Search(statuses=frozenset({"created"}), recipient="gmail.test"), ["Autumn news", "Invoice 2026-1042"]),
        (Search(recipient="u2@gmail.test"), ["Autumn news"]),
        (Search(groups=(sender_group("news@acme.test"),), since=NOW + 3), ["Reset your password", "請求書のご案内"]),
        (
            Search(groups=(sender_group("acme.test"),), until=NOW + 2),
            ["Your parcel is on the way", "Invoice 2026-1042"],
        ),
        (Search(groups=((Term("c:autumn"),),)), ["Autumn news"]),
        (Search(groups=((Term("p:direct"),), (Term("w:invoice"),))), ["Invoice 2026-1043", "Invoice 2026-1042"]),
        (Search(groups=((Term("p:newsletter"),),)), []),
    ],
)
async def test_filters(filled: Store, wanted: Search, expected: list[str]) -> None:
    assert await found(filled, wanted) == expected


@pytest.mark.parametrize("wanted", [Search(), parsed("acme.test"), Search(recipient="gmail.test"), parsed("your")])
async def test_pages_follow_one_another_without_gap_or_repetition(filled: Store, wanted: Search) -> None:
    whole = await found(filled, wanted)
    subjects, before = [], ""
    while True:
        page = await filled.searches.search(replace(wanted, limit=2, before=before))
        assert len(page.stories) <= 2
        subjects += [story.message.subject for story in page.stories]
        if not (before := page.next):
            break
    assert subjects == whole


async def test_a_search_that_would_take_long_stops_and_goes_on(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 2)
    monkeypatch.setattr(search_sources, "_CHUNK", 2)
    subjects, before, pages = [], "", 0
    while True:
        page = await filled.searches.search(Search(statuses=frozenset({"created", "delivered"}), before=before))
        subjects += [story.message.subject for story in page.stories]
        pages += 1
        if not (before := page.next):
            break
        assert page.is_cut
    assert pages > 2
    assert subjects == [one for one in reversed(SUBJECTS) if one not in ("Über uns: Größe", "請求書のご案内")]


async def test_a_category_finds_what_failed_so(filled: Store) -> None:
    failed = {"category": "mailbox_full", "reply": "452 4.2.2 full"}
    await filled.events.record([Event(Kind.DEFERRED, NOW + 9, name_of(2), 0, "u2@gmail.test", failed)])
    assert await found(filled, Search(category="mailbox_full")) == ["Autumn news"]
    assert await found(filled, Search(category="bad_mailbox")) == []


async def test_a_bounce_after_delivery_is_found_as_bounced(filled: Store) -> None:
    late = {"late": True, "category": "bad_mailbox"}
    await filled.events.record([Event(Kind.BOUNCED, NOW + 9, name_of(6), 0, "u6@gmail.test", late)])
    assert await found(filled, Search(statuses=frozenset({"bounced"}))) == ["Reset your password", "Über uns: Größe"]


async def test_blocks_of_purged_messages_are_forgotten(filled: Store) -> None:
    assert await filled.searches.forget() == 0
    await filled.queue.purge(NOW + 1000)
    assert await found(filled, parsed("password")) == []
    assert await found(filled, parsed("parcel")) == ["Your parcel is on the way"], "it waits, and is kept"
