"""Search of messages: what is asked for, and the terms of the index by which it is found. Pure.

A term is a letter for its kind, a colon and a value. A message has the terms of its subject, sender, recipients,
campaign and provider. They never change, so that blocks of the index are written once.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.mail.canonical_address import canonical, domain_of
from relay.reports.ports import Story

MAX_WORDS = 40
"""Words of one subject that are indexed: the first."""

MAX_WORD = 40
"""Characters of a word that count."""

MAX_QUERY = 300
"""Characters of a search, at most."""

PREFIX = 3
"""Characters from which on a word also finds longer ones."""

_WORD = re.compile(r"\w+")

_PAIR = re.compile(r"(?P<key>[\w.-]+)=(?P<value>.+)")

_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)+")

_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
"""Characters of scripts that put no space between words: Thai, Lao, Japanese, Chinese."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term that a message must have. `prefix`: a longer one that begins so will do."""

    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """What messages must meet. Empty fields set no condition. Times are Unix seconds, `until` is exclusive."""

    groups: tuple[tuple[Term, ...], ...] = ()
    """Of each group a message has one of the terms."""
    labels: tuple[tuple[str, str], ...] = ()
    """Metadata by name and value; tags have the name ""."""
    address: str = ""
    """Recipient, or sender: the message has it as one of both."""
    recipient: str = ""
    statuses: frozenset[str] = frozenset()
    """Statuses of which a recipient has one."""
    category: str = ""
    """Category of a bounce or deferral."""
    domains: tuple[str, ...] = ()
    """Sending domains of which the message has one; empty for all."""
    users_only: bool = False
    """Leaves out mail that the relay made itself."""
    since: float = 0.0
    until: float | None = None
    before: str = ""
    """Queue id: the search goes on with older messages."""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search, newest first."""

    stories: Sequence[Story]
    next: str = ""
    """`before` of the next page, "" at the end."""
    is_cut: bool = False
    """Whether the search stopped before it had a page: `next` goes on."""


class SearchStore(Protocol):
    """Finds messages, and keeps the index. All methods raise StoreError."""

    async def search(self, search: Search) -> Found:
        """Return the messages that match, newest first. A search that would take long stops, and says so."""

    async def extend(self, before: float) -> int:
        """Index a block of the oldest messages that are not indexed and came before that time; return their number."""

    async def forget(self) -> int:
        """Delete the blocks whose messages are all gone; return their number."""


def words(text: str) -> Iterator[str]:
    """Yield the words of a text as they are indexed: lower case, without accents; of scripts without spaces, pairs."""
    plain = unicodedata.normalize("NFKD", text[: MAX_WORDS * MAX_WORD]).casefold()
    letters = unicodedata.normalize("NFKC", "".join(char for char in plain if not unicodedata.combining(char)))
    for run in _WORD.findall(letters.replace("_", " ")):
        end = 0
        for unspaced in _UNSPACED.finditer(run):
            yield from filter(None, (run[end : unspaced.start()][:MAX_WORD],))
            yield from _pairs(unspaced[0])
            end = unspaced.end()
        yield from filter(None, (run[end:][:MAX_WORD],))


def _pairs(run: str) -> Iterator[str]:
    """Yield the pairs of characters of a run, so that each part of it is found; of one character itself."""
    if len(run) == 1:
        yield run
    for start in range(len(run) - 1):
        yield run[start : start + 2]


def terms_of(
    subject: str, senders: Iterable[str], recipients: Iterable[str], campaign: str, providers: Iterable[str]
) -> set[str]:
    """Return the terms of a message. Senders are addresses or domains."""
    found = {f"w:{word}" for word, _ in zip(words(subject), range(MAX_WORDS), strict=False)}
    for sender in filter(None, senders):
        found |= {f"f:{canonical(sender)}", f"f:{domain_of(sender)}"} if "@" in sender else {f"f:{domain_of(sender)}"}
    found |= {f"r:{domain_of(one)}" for one in recipients}
    found |= {f"p:{one}" for one in providers}
    return found | ({f"c:{campaign}"} if campaign else set())


def has(terms: set[str], group: Sequence[Term]) -> bool:
    """Return whether terms have one of a group."""
    return any(one.text in terms or (one.prefix and any(term.startswith(one.text) for term in terms)) for one in group)


def parsed(query: str) -> Search:
    """Return the search for a text that a person entered: words, addresses, domains, key=value and #tag."""
    text = query.strip()[:MAX_QUERY]
    pair = _PAIR.fullmatch(text)
    if pair is not None and text.count("=") == 1:
        return Search(labels=((pair["key"], pair["value"]),))

    groups: list[tuple[Term, ...]] = []
    labels: list[tuple[str, str]] = []
    address = ""
    for token in text.split():
        if (pair := _PAIR.fullmatch(token)) is not None:
            labels.append((pair["key"], pair["value"]))
        elif token.startswith("#") and len(token) > 1:
            labels.append(("", token[1:]))
        elif "@" in token[1:]:
            address = token.strip("<>,;")
        elif _DOMAIN.fullmatch(token) and not token.replace(".", "").isdigit():
            domain = domain_of(token)
            groups.append((Term(f"r:{domain}"), Term(f"f:{domain}"), *_word_terms(token)[:1]))
        else:
            groups += [(one,) for one in _word_terms(token)]
    return Search(groups=tuple(groups), labels=tuple(labels), address=address)


def _word_terms(token: str) -> list[Term]:
    return [Term(f"w:{word}", len(word) >= PREFIX) for word in words(token)]


def sender_group(sender: str) -> tuple[Term, ...]:
    """Return the group for a sender: an address or a domain."""
    return (Term(f"f:{canonical(sender) if '@' in sender else domain_of(sender)}"),)
