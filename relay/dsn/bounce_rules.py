"""Bounce rules: conditions on a reply, in order; loading validates every rule.

Rules are data (`bounce_rules.toml`): wordings of known providers first, then general phrases, then codes. Words come
first, because codes alone identify fewer than half of the replies.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from relay.config.toml_faults import TomlFault, parse_toml
from relay.dsn.categories import BY_OPERATOR, CATEGORIES
from relay.dsn.phrases import Phrase, PhraseError, PhraseIndex, compile_phrase, index_phrases
from relay.dsn.reply_normal_form import Wording

PHASES = frozenset(("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data"))

_KEYS = frozenset(
    ("name", "category", "phrases", "names", "all", "unless", "status", "code", "phase", "example", "guidance")
)

_STATUS = re.compile(r"[245x]\.[0-9x]{1,3}\.[0-9x]{1,3}|[245x]\.[0-9x]{1,3}\.\*")

_CODE = re.compile(r"[245][0-9x][0-9x]")


class RulesError(ValueError):
    """The rules are invalid; each line of the message names a rule and its fault."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    It matches if the reply contains one of `phrases`, or names a host or link with one of `names`. The reply must also
    contain each of `all` in any order, none of `unless`, and meet every condition given. If phrases of `phrases` or
    `all` have the scope of a clause, one clause must contain them, and none of that scope in `unless`.
    """

    name: str
    category: str
    phrases: Mapping[str, Phrase]
    """Phrases by their sources, as `all` and `unless`."""
    names: tuple[str, ...]
    all: Mapping[str, Phrase]
    unless: Mapping[str, Phrase]
    status: re.Pattern[str] | None
    code: re.Pattern[str] | None
    phase: frozenset[str]
    example: str
    guidance: str = ""
    """What to do, where that is more exact than the guidance of the category; "" for the latter."""
    _is_of_a_clause: bool = field(init=False, repr=False, compare=False)
    _all_of_text: Mapping[str, Phrase] = field(init=False, repr=False, compare=False)
    """Of `all`, those of the whole text, as of `unless`: the others are compared with each clause."""
    _unless_of_text: Mapping[str, Phrase] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scopes = (phrase.scope for phrase in chain(self.phrases.values(), self.all.values()))
        object.__setattr__(self, "_is_of_a_clause", any(scopes))
        object.__setattr__(self, "_all_of_text", _of_text(self.all))
        object.__setattr__(self, "_unless_of_text", _of_text(self.unless))

    def all_phrases(self) -> Iterator[Phrase]:
        """Yield the phrases of every condition."""
        return chain(self.phrases.values(), self.all.values(), self.unless.values())

    def matches(self, reply: "Reply") -> bool:
        """Whether the rule applies to a reply."""
        if self.phase and reply.phase not in self.phase:
            return False
        if self.status is not None and self.status.fullmatch(reply.status) is None:
            return False
        if self.code is not None and self.code.fullmatch(reply.code) is None:
            return False
        return self._matches_clause(reply) if self._is_of_a_clause else self._matches_text(reply)

    def _matches_clause(self, reply: "Reply") -> bool:
        """Whether one clause contains the phrases of that scope, and none of those in `unless`."""
        is_possible = reply.has_all(self._all_of_text) and not reply.has_any(self._unless_of_text)
        return is_possible and any(self._matches_text(reply.within(clause)) for clause in reply.wording.clauses)

    def _matches_text(self, reply: "Reply") -> bool:
        if (self.phrases or self.names) and not self._has_phrase_or_name(reply):
            return False
        return reply.has_all(self.all) and not reply.has_any(self.unless)

    def _has_phrase_or_name(self, reply: "Reply") -> bool:
        return reply.has_any(self.phrases) or any(name in reply.wording.names for name in self.names)


def _of_text(phrases: Mapping[str, Phrase]) -> dict[str, Phrase]:
    return {source: phrase for source, phrase in phrases.items() if not phrase.scope}


def contains(wording: Wording, phrase: Phrase) -> bool:
    """Whether a text contains a phrase, or one of its clauses if that is the scope of the phrase."""
    return any(map(phrase.matches, wording.clauses if phrase.scope else (wording.prose,)))


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as matched by rules: wording, codes ("" for none), and the command it answered ("" if not known)."""

    wording: Wording
    code: str
    status: str
    phase: str
    possible: set[str]
    """Sources of the phrases that it may contain."""

    def has_any(self, phrases: Mapping[str, Phrase]) -> bool:
        """Whether the reply contains one of the phrases."""
        return any(contains(self.wording, phrases[source]) for source in self.possible & phrases.keys())

    def has_all(self, phrases: Mapping[str, Phrase]) -> bool:
        """Whether the reply contains each of the phrases."""
        return phrases.keys() <= self.possible and all(contains(self.wording, phrase) for phrase in phrases.values())

    def within(self, clause: str) -> "Reply":
        """Return the reply with only one of its clauses."""
        return replace(self, wording=replace(self.wording, clauses=(clause,)))


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules in order of evaluation."""

    rules: tuple[Rule, ...]
    index: PhraseIndex = field(init=False, repr=False, compare=False)
    """Index of the phrases a text may contain."""
    _needing: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Bits of the rules that need a phrase, by its source; bit 0 is the first rule."""
    _free: int = field(init=False, repr=False, compare=False)
    """Bits of the rules that may match without a phrase."""

    def __post_init__(self) -> None:
        phrases = (phrase for rule in self.rules for phrase in rule.all_phrases())
        object.__setattr__(self, "index", index_phrases(phrases))

        needing: dict[str, int] = {}
        free = 0
        for number, rule in enumerate(self.rules):
            needed = () if rule.names else tuple(rule.phrases) or tuple(rule.all)[:1]
            free |= 0 if needed else 1 << number
            for source in needed:
                needing[source] = needing.get(source, 0) | 1 << number
        object.__setattr__(self, "_needing", needing)
        object.__setattr__(self, "_free", free)

    def __len__(self) -> int:
        return len(self.rules)

    def candidates(self, possible: Collection[str]) -> Iterator[Rule]:
        """Yield in order the rules that may match a reply with the phrases of `possible`, by their sources."""
        left = self._free
        for source in possible:
            left |= self._needing.get(source, 0)
        while left:
            first = left & -left
            left ^= first
            yield self.rules[first.bit_length() - 1]


def load_rules(text: str) -> Rules:
    """Parse rules from TOML; raise RulesError naming every fault."""
    faults: list[str] = []
    rules: dict[str, Rule] = {}
    compiled: dict[str, Phrase] = {}
    tables, classes = _tables(text)
    for number, table in enumerate(tables, 1):
        name = str(table.get("name", f"number {number}"))
        try:
            rule = _rule(name, table, classes, compiled)
        except (RulesError, PhraseError) as fault:
            faults.append(f"rule {name}: {fault}")
            continue
        if name in rules:
            faults.append(f"rule {name}: the name is taken by an earlier rule")
        rules[name] = rule

    if faults:
        raise RulesError("\n".join(faults))

    return Rules(tuple(rules.values()))


def _tables(text: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the tables of the rules, and the word classes with their alternatives."""
    try:
        content = parse_toml(text)
    except TomlFault as fault:
        raise RulesError(f"line {fault.line}: not TOML: {fault}") from None
    tables, classes = content.get("rule", []), content.get("words", {})
    if not isinstance(classes, dict) or not all(isinstance(one, list) for one in classes.values()):
        raise RulesError('words must be a table of lists: write [words] and mailbox = ["mailbox", "inbox"]')
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError("rule must be a list of tables: write each as [[rule]]")
    if not tables:
        raise RulesError("no [[rule]] in the file")
    return tables, {name: "|".join(map(str, alternatives)) for name, alternatives in classes.items()}


def _rule(name: str, table: Mapping[str, Any], classes: Mapping[str, str], compiled: dict[str, Phrase]) -> Rule:
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise RulesError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")

    category = table.get("category")
    if category not in CATEGORIES or category == BY_OPERATOR:
        known = ", ".join(name for name in CATEGORIES if name != BY_OPERATOR)
        raise RulesError(f"category {category!r} is unknown; known are {known}")

    phases = frozenset(_strings(table, "phase"))
    if phases - PHASES:
        raise RulesError(f"phase {sorted(phases - PHASES)[0]!r} is none of {', '.join(sorted(PHASES))}")

    rule = Rule(
        name=name,
        category=str(category),
        phrases=_phrases(_strings(table, "phrases"), classes, compiled),
        names=tuple(_strings(table, "names")),
        all=_phrases(_strings(table, "all"), classes, compiled),
        unless=_phrases(_strings(table, "unless"), classes, compiled),
        status=_codes(_strings(table, "status"), _STATUS, "status", "5.1.1, x.7.5xx or 5.1.*"),
        code=_codes(_strings(table, "code"), _CODE, "code", "550 or 5xx"),
        phase=phases,
        example=str(table.get("example", "")),
        guidance=str(table.get("guidance", "")),
    )
    if not (rule.phrases or rule.names or rule.all or rule.status or rule.code):
        raise RulesError("matches every reply: give it phrases, names, all, a status or a code")
    if not rule.example:
        raise RulesError("has no example of a reply it matches")

    return rule


def _phrases(sources: list[str], classes: Mapping[str, str], compiled: dict[str, Phrase]) -> dict[str, Phrase]:
    """Compile phrases by their sources; those that another rule has too are compiled once."""
    for source in sources:
        if source not in compiled:
            compiled[source] = compile_phrase(source, classes)
    return {source: compiled[source] for source in sources}


def _strings(table: Mapping[str, Any], key: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RulesError(f"{key} must be a list of strings")
    return value


def _codes(values: list[str], pattern: re.Pattern[str], key: str, example: str) -> re.Pattern[str] | None:
    """Compile codes with `x` for any digit (or class) and a final `*` for any detail."""
    for value in values:
        if pattern.fullmatch(value) is None:
            raise RulesError(f"{key} {value!r} is not of the form {example}")
    if not values:
        return None
    wild = (re.escape(value).replace("x", r"\d").replace(r"\*", r"\d{1,3}") for value in values)
    return re.compile("|".join(wild))
