"""The index of searches: blocks of queue ids by term. SQL and its values.

Queue ids sort by time. A block has BLOCK messages that follow one another, and all its rows have the same `last`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from relay.mail.lane import split_lane
from relay.mail.queue_id import LENGTH, queue_id
from relay.reports.search import Term, terms_of
from relay.storage.database import Connection
from relay.storage.json_columns import decode_list, decode_strings

BLOCK = 250
"""Messages of a block. So many at most are read one by one in each search."""

LONGER = 30
"""Words that a beginning stands for, at most: the first in order."""

_BLOCKS_AT_ONCE = 40
"""Blocks of the first statement, which mostly suffice; of each that follows twice as many."""

_MAX_AT_ONCE = 320
"""Blocks of one statement, at most."""

INDEXED = "SELECT max(last) FROM search_blocks"

UNINDEXED = "SELECT queue_id FROM messages WHERE queue_id > ? AND queue_id < ? ORDER BY queue_id LIMIT ?"

LAST = "~"
"""A text that sorts behind all queue ids."""

_EDGE = "SELECT min(last) FROM search_blocks WHERE last >= ?"

_INSERT = "INSERT INTO search_blocks (term, last, ids) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

_NEXT_TERM = "SELECT min(term) FROM search_blocks WHERE term > ? AND term < ?"

_FORGET = "DELETE FROM search_blocks WHERE last < (SELECT min(queue_id) FROM messages)"

_AT_ONCE = 100

PARAMETERS = ", ".join("?" * _AT_ONCE)

ROWS = (
    "SELECT queue_id, subject, header_from, domain, identity, campaign, tags, metadata, origin FROM messages "  # noqa: S608
    f"WHERE queue_id IN ({PARAMETERS})"
)

ENTRIES = f"SELECT queue_id, recipient_key, lane, state, attempts FROM entries WHERE queue_id IN ({PARAMETERS})"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Part:
    """Some messages, newest first. Parts that follow have only messages that sort before `reached`."""

    ids: Sequence[str]
    reached: str


@dataclass(slots=True)
class SearchRow:
    """What a search compares of a message."""

    queue_id: str
    subject: str
    senders: tuple[str, ...]
    domain: str
    campaign: str
    tags: str
    metadata: str
    origin: str
    recipients: list[str] = field(default_factory=list)
    providers: set[str] = field(default_factory=set)
    states: set[tuple[str, bool]] = field(default_factory=set)
    """State of each recipient, and whether it was tried."""

    def terms(self, kinds: Collection[str] = "wfrcp") -> set[str]:
        """Return its terms, those of some kinds: a search mostly compares few, and words of subjects take longest."""
        return terms_of(
            self.subject if "w" in kinds else "",
            self.senders if "f" in kinds else (),
            self.recipients if "r" in kinds else (),
            self.campaign if "c" in kinds else "",
            self.providers if "p" in kinds else (),
        )

    def has_labels(self, labels: Iterable[tuple[str, str]]) -> bool:
        """Return whether it has these tags and metadata."""
        metadata = decode_strings(self.metadata)
        return all(metadata.get(name) == value if name else value in decode_list(self.tags) for name, value in labels)


def rows(raw: Connection, ids: Sequence[str]) -> list[SearchRow]:
    """Return the messages with these ids that are there, in their order."""
    found: dict[str, SearchRow] = {}
    for batch in id_batches(ids):
        for name, subject, author, domain, identity, campaign, tags, metadata, origin in raw.execute(ROWS, batch):
            senders = (author, domain, identity)
            found[name] = SearchRow(name, subject, senders, domain, campaign, tags, metadata, origin)
        for name, recipient, lane, state, attempts in raw.execute(ENTRIES, batch):
            if (row := found.get(name)) is not None:
                row.recipients.append(recipient)
                row.providers.add(split_lane(lane)[0])
                row.states.add((state, attempts > 0))
    return [found[one] for one in ids if one in found]


def id_batches(ids: Sequence[str]) -> Iterator[list[str]]:
    """Yield the ids as values of statements with PARAMETERS; the last one is filled up with ids again."""
    for start in range(0, len(ids), _AT_ONCE):
        some = list(ids[start : start + _AT_ONCE])
        yield some + some[:1] * (_AT_ONCE - len(some))


def extend(before: float) -> Callable[[Connection], int]:
    """Index a block of messages that came before that time; return their number, 0 while there is no whole block."""

    def operation(raw: Connection) -> int:
        last = raw.execute(INDEXED).fetchone()[0] or ""
        ids = [row[0] for row in raw.execute(UNINDEXED, (last, queue_id(before, 0), BLOCK))]
        if len(ids) < BLOCK:
            return 0
        block: dict[str, list[str]] = {}
        for row in rows(raw, ids):
            for term in row.terms():
                block.setdefault(term, []).append(row.queue_id)
        # A block is known by its last message, which has terms: each message has a recipient.
        raw.executemany(_INSERT, [(term, ids[-1], "".join(found)) for term, found in sorted(block.items())])
        return len(ids)

    return operation


def forget(raw: Connection) -> int:
    """Delete the blocks whose messages are all gone; return the number of rows."""
    return raw.execute(_FORGET).rowcount


def full_terms(raw: Connection, group: Iterable[Term]) -> list[str]:
    """Return the terms of a group, with the longer ones for which a beginning stands."""
    found: dict[str, None] = {}
    for term in group:
        found[term.text] = None
        if term.prefix:
            found |= dict.fromkeys(_longer(raw, term.text))
    return list(found)


def _longer(raw: Connection, start: str) -> Iterator[str]:
    end, last = f"{start}\U0010ffff", start
    for _ in range(LONGER):
        (last,) = raw.execute(_NEXT_TERM, (last, end)).fetchone()
        if last is None:
            return
        yield last


def candidates(raw: Connection, groups: Sequence[Sequence[str]], newest: str, oldest: str) -> Iterator[Part]:
    """Yield the messages that have a term of each group, newest first, in parts.

    `newest` and `oldest` are queue ids: only messages between them, both excluded, are yielded.
    """
    ordered = sorted(groups, key=lambda group: _size_of(raw, group))
    # The block that has `newest` ends with it or behind it, and blocks do not overlap.
    (edge,) = raw.execute(_EDGE, (newest,)).fetchone()
    end = f"{edge}{LAST}" if edge is not None else LAST
    held: list[str] = []
    at_once = _BLOCKS_AT_ONCE
    while found := _blocks(raw, ordered[0], end, oldest, at_once):
        lasts = sorted(found, reverse=True)
        for group in ordered[1:]:
            texts = _texts_at(raw, group, lasts)
            found = {
                key: {one for one in ids if one in texts[key]} for key, ids in found.items() if ids and key in texts
            }
        for key in lasts:
            # The messages of a block are older than its key: how old they are shows the block that follows.
            yield Part(held, f"{key}{LAST}")
            held = sorted((one for one in found.get(key, ()) if oldest < one < newest), reverse=True)
        end, at_once = lasts[-1], min(2 * at_once, _MAX_AT_ONCE)
    yield Part(held, "")


def _blocks(raw: Connection, terms: Sequence[str], end: str, oldest: str, at_once: int) -> dict[str, set[str]]:
    """Return the ids of the next blocks before `end` that have one of the terms, by the last id of the block."""
    limit = at_once * len(terms)
    fetched = raw.execute(blocks_statement(len(terms)), [*terms, end, oldest, limit]).fetchall()
    # The last block may go on behind the limit: it comes again.
    cut = fetched[-1][0] if len(fetched) == limit else None
    found: dict[str, set[str]] = {}
    for last, ids in fetched:
        if last != cut or len(terms) == 1:
            found.setdefault(last, set()).update(split(ids))
    return found


def blocks_statement(terms: int) -> str:
    """Return the statement for the blocks between two ids that have one of so many terms."""
    return (
        f"SELECT last, ids FROM search_blocks WHERE term IN ({', '.join('?' * terms)}) "  # noqa: S608  places only
        "AND last < ? AND last > ? ORDER BY last DESC LIMIT ?"
    )


def _texts_at(raw: Connection, terms: Sequence[str], lasts: Sequence[str]) -> dict[str, str]:
    """Return the ids of these blocks that have one of the terms, one behind the other.

    A text may have an id that begins in the middle of another: candidates are compared anyhow.
    """
    found: dict[str, str] = {}
    for last, ids in raw.execute(texts_statement(len(terms), len(lasts)), [*terms, *lasts]):
        found[last] = found.get(last, "") + ids
    return found


def texts_statement(terms: int, lasts: int) -> str:
    """Return the statement for so many blocks that have one of so many terms."""
    return (
        f"SELECT last, ids FROM search_blocks WHERE term IN ({', '.join('?' * terms)}) "  # noqa: S608  places only
        f"AND last IN ({', '.join('?' * lasts)})"
    )


def _size_of(raw: Connection, terms: Sequence[str]) -> int:
    """Return the length of the ids of these terms, in some hundred blocks at most."""
    places = ", ".join("?" * len(terms))
    some = f"SELECT ids FROM search_blocks WHERE term IN ({places}) LIMIT 500"  # noqa: S608  places only
    return int(raw.execute(f"SELECT sum(length(ids)) FROM ({some}) AS counted", list(terms)).fetchone()[0] or 0)  # noqa: S608


def split(ids: str) -> Iterator[str]:
    """Yield the queue ids of a block."""
    return (ids[start : start + LENGTH] for start in range(0, len(ids), LENGTH))
