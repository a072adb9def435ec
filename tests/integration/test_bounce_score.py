"""How well bounces are understood, by the scoring program of the shared, labelled mails and replies."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.dsn.rules_file import built_in_rules
from tests.bounces.cases import Case, recipients, replies
from tests.bounces.left_out import (
    left_out,
    phrase_sources,
    rule_sources,
    total,
    without_phrases,
    without_rules,
)
from tests.bounces.official import score
from tests.shared import shared

RULES = built_in_rules()


def share(told: str) -> float:
    """Take the percentage of "98.1 (53/54)" or the quotient of "1 of 100 ..." and "0/49" as one."""
    words = told.replace("/", " ").replace(" of ", " ").split()
    return float(words[0]) if "(" in told else 100 * int(words[0]) / max(1, int(words[1]))


def test_mails_of_others_are_classified_as_expected() -> None:
    figures = score(shared("data/bounces"), "mail")
    assert figures["errors"] == 0
    assert share(figures["ordinary_mail_called_bounce"]) == 0
    assert figures["kind_accuracy"] >= 98
    assert figures["recipient_recall"] >= 98
    assert figures["recipient_precision"] >= 99
    assert figures["action_accuracy_of_found"] >= 99
    assert figures["status_exact"] >= 97
    assert figures["category_accepted"] >= 95
    assert share(figures["suppress_recall"]) >= 94
    assert share(figures["suppress_wrong"]) <= 1


def test_replies_of_others_are_classified_as_expected() -> None:
    figures = score(shared("data/bounces"), "replies")
    assert figures["errors"] == 0
    assert figures["category_accepted"] >= 92
    assert share(figures["suppress_recall"]) >= 94
    assert share(figures["suppress_wrong"]) <= 1


@pytest.mark.parametrize(("told", "percent"), [("98.1 (53/54)", 98.1), ("1 of 100 suppressions", 1.0), ("0/49", 0.0)])
def test_a_share_is_read_as_percent(told: str, percent: float) -> None:
    assert share(told) == percent


@pytest.mark.parametrize(("cases", "accepted"), [(replies, 91), (recipients, 92)])
def test_a_source_left_out_is_understood_by_the_rest(
    cases: Callable[[Path, str], Iterator[Case]], accepted: int
) -> None:
    every = list(cases(shared("data/bounces"), "source"))
    without = total(left_out(RULES, every, phrase_sources(RULES, every), without_phrases).values())
    assert 100 * without.accepted / without.cases >= accepted, str(without)
    assert 100 * without.hit / without.needed >= 93, str(without)
    assert 100 * without.wrong / without.suppressed <= 1, str(without)


def test_rules_of_one_source_are_few() -> None:
    every = list(replies(shared("data/bounces"), "source"))
    without = total(left_out(RULES, every, rule_sources(RULES, every), without_rules).values())
    assert 100 * without.accepted / without.cases >= 93, str(without)
    assert 100 * without.hit / without.needed >= 93, str(without)
    assert without.wrong == 0, str(without)
