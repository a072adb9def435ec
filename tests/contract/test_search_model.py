"""Search against a plain model: all pages together are what matches, newest first, none twice, none missing."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from relay.events.event import Event, Kind
from relay.mail.queue_id import queue_id
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.reports.search import PREFIX, Search, Term, sender_group
from relay.storage import search, search_blocks, search_sources
from relay.storage.store import Store
from tests.contract.conftest import NOW
from tests.contract.values import accepted

ADDRESSES = ("ada@a.test", "bob@a.test", "cleo@b.test", "news@c.test")
"""Each is sender of some messages and recipient of others."""

WORDS = ("invoice", "invoices", "parcel", "autumn", "an")

CATEGORIES = ("bad_mailbox", "mailbox_full")

STATES = (*((State.WAITING, 0), (State.WAITING, 2), (State.ACTIVE, 1), (State.HELD, 0)), *((one, 1) for one in State))

MESSAGES, SEARCHES = 60, 40


@dataclass(frozen=True, slots=True)
class Known:
    """A message of the model."""

    number: int
    sender: str
    words: tuple[str, ...]
    recipients: tuple[str, ...]
    statuses: frozenset[str]
    tag: str
    campaign: str
    categories: frozenset[str] = field(default_factory=frozenset)

    @property
    def queue_id(self) -> str:
        return queue_id(NOW + self.number, self.number)

    def has_word(self, word: str) -> bool:
        return any(one == word or (len(word) >= PREFIX and one.startswith(word)) for one in self.words)

    def is_found(self, wanted: Search) -> bool:
        """Return whether a search finds it, as its fields describe."""
        parties = (self.sender, *self.recipients)
        return (
            all(any(self._has(term) for term in group) for group in wanted.groups)
            and all(value == self.tag for _, value in wanted.labels)
            and (not wanted.address or wanted.address in parties)
            and (not wanted.recipient or any(one.endswith(wanted.recipient) for one in self.recipients))
            and (not wanted.statuses or bool(wanted.statuses & self.statuses))
            and (not wanted.category or wanted.category in self.categories)
            and (not wanted.domains or self.sender.partition("@")[2] in wanted.domains)
            and wanted.since <= NOW + self.number < (wanted.until or 9e9)
        )

    def _has(self, term: Term) -> bool:
        kind, _, value = term.text.partition(":")
        match kind:
            case "w":
                return self.has_word(value)
            case "f":
                return value in (self.sender, self.sender.partition("@")[2])
            case "c":
                return value == self.campaign
        raise AssertionError(kind)


def made(chance: Random, number: int) -> tuple[Known, NewMessage, list[Event]]:
    """Return a message by chance: for the model, for the store, and its failures."""
    sender = chance.choice(ADDRESSES)
    words = tuple(chance.sample(WORDS, chance.randint(1, 2)))
    to = tuple(chance.sample(ADDRESSES, chance.randint(1, 2)))
    name, tag, campaign = queue_id(NOW + number, number), chance.choice(("", "", "red")), chance.choice(("", "spring"))
    new = accepted(name, *to, at=NOW + number)
    states = [chance.choice(STATES) for _ in to]
    entries = tuple(
        replace(one, state=state, attempts=attempts) for one, (state, attempts) in zip(new.entries, states, strict=True)
    )
    events = []
    if chance.random() < 0.3:
        about = {"category": chance.choice(CATEGORIES)} | ({"late": True} if chance.random() < 0.3 else {})
        kind = Kind.BOUNCED if "late" in about else chance.choice((Kind.BOUNCED, Kind.DEFERRED))
        events.append(Event(kind, NOW + MESSAGES + chance.randint(0, 9), name, 0, to[0], about))
    statuses = {one.status for one in entries} | ({"bounced"} if any("late" in one.data for one in events) else set())
    known = Known(
        *(number, sender, words, to, frozenset(statuses), tag, campaign),
        frozenset(str(one.data["category"]) for one in events),
    )
    message = replace(
        new.message,
        subject=" ".join(words),
        header_from=sender,
        tags=(tag,) if tag else (),
        campaign=campaign,
        policy=replace(new.message.policy, domain=sender.partition("@")[2]),
    )
    return known, replace(new, message=message, entries=entries), events


def wanted(chance: Random) -> Search:
    """Return a search by chance: one thing that is looked for, and at times another."""
    fields: dict[str, object] = {}
    for kind in chance.sample(("address", "words", "to", "from", "status", "category", "tag", "campaign"), 2):
        match kind:
            case "address":
                fields["address"] = chance.choice(ADDRESSES)
            case "words":
                words = chance.sample((*WORDS, "inv", "nothing"), chance.randint(1, 2))
                fields["groups"] = tuple((Term(f"w:{one}", len(one) >= PREFIX),) for one in words)
            case "to":
                fields["recipient"] = chance.choice((*ADDRESSES, "a.test", "b.test"))
            case "from":
                fields["groups"] = (sender_group(chance.choice((*ADDRESSES, "a.test"))),)
            case "status":
                statuses = (
                    ("bounced",),
                    ("dropped",),
                    ("bounced", "dropped"),
                    ("created", "deferred", "held"),
                    ("held",),
                )
                fields["statuses"] = frozenset(chance.choice(statuses))
            case "category":
                fields["category"] = chance.choice(CATEGORIES)
            case "tag":
                fields["labels"] = (("", "red"),)
            case "campaign":
                fields["groups"] = ((Term("c:spring"),),)
        if chance.random() < 0.6:
            break
    if chance.random() < 0.2:
        since = chance.randint(0, MESSAGES)
        fields |= {"since": NOW + since, "until": NOW + chance.randint(since, MESSAGES)}
    if chance.random() < 0.3:
        fields["domains"] = tuple(chance.sample(("a.test", "b.test", "c.test"), chance.randint(1, 2)))
    return Search(**fields)  # type: ignore[arg-type]


def bounds(chance: Random) -> Iterator[tuple[object, str, int]]:
    """Yield small bounds, so that a search of few messages meets all of them."""
    yield search_blocks, "BLOCK", chance.randint(1, 6)
    yield search_blocks, "_BLOCKS_AT_ONCE", chance.randint(1, 4)
    yield search, "_FIRST", chance.randint(1, 5)
    yield search, "MAX_PICKED_FROM", chance.choice((1, 9, 10_000))
    yield search, "_AT_ONCE", chance.randint(1, 8)
    yield search_sources, "_CHUNK", chance.randint(1, 8)
    yield search_sources, "FEW", chance.choice((0, 4, 1000))
    yield search_sources, "_FIRST_PARTS", chance.randint(1, 3)
    yield search, "LOOKED_AT", chance.randint(1, 40)
    yield search, "MAX_PARTS", chance.choice((3, 5, 800))
    yield search_sources, "MAX_OPEN", chance.choice((3, 5000))


async def pages(store: Store, found: Search) -> list[str]:
    """Return the queue ids of all pages, one behind the other."""
    names: list[str] = []
    for _ in range(50 * MESSAGES):
        page = await store.searches.search(found)
        assert len(page.stories) <= found.limit
        assert page.is_cut or not page.next or len(page.stories) == found.limit, "a page is full, or says why not"
        names += [story.message.queue_id for story in page.stories]
        if not page.next:
            return names
        found = replace(found, before=page.next)
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("seed", range(12))
async def test_all_pages_together_are_what_matches(store: Store, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = Random(seed)
    for module, name, value in bounds(chance):
        monkeypatch.setattr(module, name, value)
    messages: list[Known] = []
    for number in range(MESSAGES):
        known, new, events = made(chance, number)
        await store.queue.enqueue(new)
        await store.events.record(events)
        messages.append(known)
    while chance.random() < 0.9 and await store.searches.extend(NOW + MESSAGES - chance.randint(0, 20)):
        pass

    for _ in range(SEARCHES):
        found = replace(wanted(chance), limit=chance.randint(1, 5))
        expected = [one.queue_id for one in reversed(messages) if one.is_found(found)]
        assert await pages(store, found) == expected, found
