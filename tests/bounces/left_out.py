"""Rules without what one source taught: how well a source is understood that nobody saw before.

The labelled replies and mails come from many sources. What only the texts of one source hold or need is taken out of
the rules, then these texts are classified by what is left. Two ways, the first harsher for words, the second for rules:
phrases that occur in this source's texts only; rules that decide cases of this source only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from relay.dsn.bounce_rules import Rules, contains
from relay.dsn.phrases import Phrase
from relay.dsn.reply_normal_form import normal_form
from tests.bounces.cases import Case, Score

Taught = Mapping[str, set[str]]
"""The sources that a phrase or rule serves."""

LeaveOut = Callable[[Rules, Taught, str], Rules]
"""Takes out of rules what serves one source alone."""


def phrase_sources(rules: Rules, cases: Iterable[Case]) -> Taught:
    """Return the sources in whose texts each phrase occurs."""
    found: dict[str, set[str]] = defaultdict(set)
    every = {phrase.source: phrase for rule in rules.rules for phrase in rule.all_phrases()}
    for case in cases:
        wording = normal_form(case.text)
        for name in rules.index.possible(wording.prose):
            if case.source not in found[name] and contains(wording, every[name]):
                found[name].add(case.source)
    return found


def rule_sources(rules: Rules, cases: Iterable[Case]) -> Taught:
    """Return the sources of whose cases each rule decides one."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        found[case.classify(rules).rule].add(case.source)
    return found


def without_phrases(rules: Rules, taught: Taught, source: str) -> Rules:
    def kept(phrases: Mapping[str, Phrase]) -> dict[str, Phrase]:
        return {name: phrase for name, phrase in phrases.items() if taught.get(name) != {source}}

    changed = (replace(rule, phrases=kept(rule.phrases), unless=kept(rule.unless)) for rule in rules.rules)
    pairs = zip(rules.rules, changed, strict=True)
    return Rules(tuple(after for before, after in pairs if after.phrases or not before.phrases))


def without_rules(rules: Rules, taught: Taught, source: str) -> Rules:
    return Rules(tuple(rule for rule in rules.rules if taught.get(rule.name) != {source}))


def left_out(rules: Rules, cases: list[Case], taught: Taught, leave_out: LeaveOut) -> dict[str, Score]:
    """Return the score of each source by the rules without what it alone taught."""
    scores: dict[str, Score] = {}
    for source in sorted({case.source for case in cases}):
        rest = leave_out(rules, taught, source)
        own = scores[source] = Score()
        for case in cases:
            if case.source == source:
                own.count(case, case.classify(rest).category)
    return scores


def total(scores: Iterable[Score]) -> Score:
    whole = Score()
    for score in scores:
        for name, count in vars(score).items():
            setattr(whole, name, getattr(whole, name) + count)
    return whole
