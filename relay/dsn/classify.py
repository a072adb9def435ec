"""Classifies the reply of a mail server by ordered rules; the first match decides.

Rules are data (`bounce_rules.toml`): wordings of known providers first, then general phrases, then codes. Words come
first, because codes alone identify fewer than half of the replies. Loading validates every rule.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.config.toml_faults import TomlFault, parse_toml
from relay.dsn.categories import CATEGORIES, Category
from relay.dsn.phrases import Phrase, PhraseError, PhraseIndex, compile_phrase, index_phrases, normal_form
from relay.dsn.reply_text import requested_delay, smtp_code, status_in
from relay.dsn.report import Recipient, Report

PHASES = frozenset(("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data"))

_KEYS = frozenset(("name", "category", "phrases", "all", "unless", "status", "code", "phase", "example"))

_STATUS = re.compile(r"[245x]\.[0-9x]{1,3}\.[0-9x]{1,3}|[245x]\.[0-9x]{1,3}\.\*")

_CODE = re.compile(r"[245][0-9x][0-9x]")

_MAILBOX = frozenset(("bad_mailbox", "mailbox_disabled", "recipient_refused"))
_EXCLUDED: Mapping[str, frozenset[str]] = {
    "connect": _MAILBOX,
    "ehlo": _MAILBOX | {"bad_domain"},
    "starttls": _MAILBOX | {"bad_domain"},
    "auth": _MAILBOX | {"bad_domain"},
    "mail": _MAILBOX | {"bad_domain"},
}
"""Categories excluded for a command before RCPT, when the recipient is not known (RFC 5321 section 3.3)."""

_RECIPIENT = re.compile(r"recipient|rcpt|destinat|addressee|empf[äa]nger|收件人|宛先|получател")
"""Words that refer to the recipient; with PIPELINING some reports name the wrong command."""


class RulesError(ValueError):
    """The rules are invalid; each line of the message names a rule and its fault."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    It matches if the reply contains one of `phrases`, each of `all` in any order, none of `unless`, and satisfies every
    condition given.
    """

    name: str
    category: str
    phrases: tuple[Phrase, ...]
    all: tuple[Phrase, ...]
    unless: tuple[Phrase, ...]
    status: re.Pattern[str] | None
    code: re.Pattern[str] | None
    phase: frozenset[str]
    example: str

    def matches(self, reply: "_Reply") -> bool:
        """Whether the rule applies to a reply."""
        if self.phrases and not any(reply.has(phrase) for phrase in self.phrases):
            return False
        if self.phase and reply.phase not in self.phase:
            return False
        if self.status is not None and self.status.fullmatch(reply.status) is None:
            return False
        if self.code is not None and self.code.fullmatch(reply.code) is None:
            return False
        if not all(reply.has(phrase) for phrase in self.all):
            return False
        return not any(reply.has(phrase) for phrase in self.unless)


@dataclass(frozen=True, slots=True)
class _Reply:
    """A reply as matched by rules: normal form, codes ("" for none), and the command it answered ("" if not known)."""

    normal: str
    code: str
    status: str
    phase: str
    possible: set[str]
    """Sources of the phrases that it may contain."""

    def has(self, phrase: Phrase) -> bool:
        """Whether the reply contains a phrase."""
        return phrase.source in self.possible and phrase.matches(self.normal)


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules in order of evaluation."""

    rules: tuple[Rule, ...]
    index: PhraseIndex = field(init=False, repr=False, compare=False)
    """Index of the phrases a text may contain."""

    def __post_init__(self) -> None:
        phrases = (phrase for rule in self.rules for phrase in (*rule.phrases, *rule.all, *rule.unless))
        object.__setattr__(self, "index", index_phrases(phrases))

    def __len__(self) -> int:
        return len(self.rules)


@dataclass(frozen=True, slots=True)
class Classification:
    """Classification of a reply.

    `rule` is the rule that matched ("" for none), `wait` the seconds the reply asks to wait. `about` has the effects of
    the category (next step, suppression, lane).
    """

    category: str
    rule: str
    wait: float | None = None

    @property
    def about(self) -> Category:
        """The category with its actions and guidance."""
        return CATEGORIES[self.category]


def load_rules(text: str) -> Rules:
    """Parse rules from TOML; raise RulesError naming every fault."""
    faults: list[str] = []
    rules: dict[str, Rule] = {}
    for number, table in enumerate(_tables(text), 1):
        name = str(table.get("name", f"number {number}"))
        try:
            rule = _rule(name, table)
        except (RulesError, PhraseError) as fault:
            faults.append(f"rule {name}: {fault}")
            continue
        if name in rules:
            faults.append(f"rule {name}: the name is taken by an earlier rule")
        rules[name] = rule

    if faults:
        raise RulesError("\n".join(faults))

    return Rules(tuple(rules.values()))


def classify(rules: Rules, text: str, code: int | None = None, status: str = "", phase: str = "") -> Classification:
    """Classify a reply by its text, SMTP code, enhanced status and the command it answered.

    A missing code or status is taken from the text. Without a match the category is `unknown`.
    """
    known = code if code is not None else smtp_code(text)
    digits = "" if known is None else str(known)
    enhanced = status or status_in(text)
    normal = normal_form(text)
    reply = _Reply(normal, digits, enhanced, phase, rules.index.possible(normal))
    excluded = frozenset[str]() if _RECIPIENT.search(normal) else _EXCLUDED.get(phase, frozenset())
    for rule in rules.rules:
        if rule.category not in excluded and rule.matches(reply):
            return Classification(rule.category, rule.name, requested_delay(normal))
    return Classification("unknown", "", requested_delay(normal))


def classify_recipient(rules: Rules, report: Report, recipient: Recipient) -> Classification:
    """Classify a recipient of a report by its diagnostic, else by the report's own text.

    A truncated text is not classified: its missing end may reverse the meaning.
    """
    if report.cut:
        return Classification("unknown", "")
    found = classify(rules, recipient.diagnostic, recipient.code, recipient.status, recipient.phase)
    if not _is_vague(found) or not report.text:
        return found
    from_text = classify(rules, report.text, recipient.code, recipient.status, recipient.phase)
    return found if _is_vague(from_text) or from_text.rule.startswith("words-") else from_text


def _is_vague(found: Classification) -> bool:
    return found.category == "unknown" or found.rule.startswith("code-")


def _tables(text: str) -> list[dict[str, Any]]:
    try:
        tables = parse_toml(text).get("rule", [])
    except TomlFault as fault:
        raise RulesError(f"line {fault.line}: not TOML: {fault}") from None
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError("rule must be a list of tables: write each as [[rule]]")
    if not tables:
        raise RulesError("no [[rule]] in the file")
    return tables


def _rule(name: str, table: Mapping[str, Any]) -> Rule:
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise RulesError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")

    category = table.get("category")
    if category not in CATEGORIES:
        raise RulesError(f"category {category!r} is none of the taxonomy's: {', '.join(CATEGORIES)}")

    phases = frozenset(_strings(table, "phase"))
    if phases - PHASES:
        raise RulesError(f"phase {sorted(phases - PHASES)[0]!r} is none of {', '.join(sorted(PHASES))}")

    rule = Rule(
        name=name,
        category=str(category),
        phrases=tuple(compile_phrase(source) for source in _strings(table, "phrases")),
        all=tuple(compile_phrase(source) for source in _strings(table, "all")),
        unless=tuple(compile_phrase(source) for source in _strings(table, "unless")),
        status=_codes(_strings(table, "status"), _STATUS, "status", "5.1.1, x.7.5xx or 5.1.*"),
        code=_codes(_strings(table, "code"), _CODE, "code", "550 or 5xx"),
        phase=phases,
        example=str(table.get("example", "")),
    )
    if not (rule.phrases or rule.all or rule.status or rule.code):
        raise RulesError("matches every reply: give it phrases, all, a status or a code")
    if not rule.example:
        raise RulesError("has no example of a reply it matches")

    return rule


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
