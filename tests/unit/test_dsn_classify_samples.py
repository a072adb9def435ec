"""How well replies written for this test are understood: many servers' manners, traps for suppression among them."""

from pathlib import Path

import pytest

from relay.dsn.categories import CATEGORIES
from relay.dsn.classify import classify
from relay.dsn.rules_file import built_in_rules

RULES = built_in_rules()

SUPPRESSING = frozenset(("bad_mailbox", "bad_domain", "mailbox_disabled"))

SAMPLES = Path(__file__).parents[1] / "golden" / "replies"


def samples(name: str) -> list[tuple[frozenset[str], str, str]]:
    lines = (SAMPLES / name).read_text("utf-8").splitlines()
    split = (line.split("|", 2) for line in lines if not line.startswith("#"))
    return [(_accepted(categories), phase, text) for categories, phase, text in split]


def _accepted(categories: str) -> frozenset[str]:
    return frozenset(CATEGORIES) - SUPPRESSING if categories == "any" else frozenset(categories.split(","))


@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLES.glob("*.txt"))])
def test_replies_are_understood(name: str) -> None:
    told = [(accepted, classify(RULES, text, phase=phase).category, text) for accepted, phase, text in samples(name)]
    misunderstood = [(text, category) for accepted, category, text in told if category not in accepted]
    assert len(misunderstood) <= 0.03 * len(told), misunderstood


@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLES.glob("*.txt"))])
def test_nothing_but_the_recipient_speaks_against_the_address(name: str) -> None:
    said = [(accepted, classify(RULES, text, phase=phase).category, text) for accepted, phase, text in samples(name)]
    wrong = [(text, got) for accepted, got, text in said if got in SUPPRESSING and not accepted & SUPPRESSING]
    assert len(wrong) <= 0.01 * sum(got in SUPPRESSING for _, got, _ in said), wrong


@pytest.mark.parametrize(("accepted", "phase", "text"), samples("clauses.txt"))
@pytest.mark.parametrize("without_phase", [False, True])
def test_what_is_said_in_one_clause_is_said_of_its_subject(
    accepted: frozenset[str], phase: str, text: str, without_phase: bool
) -> None:
    assert classify(RULES, text, phase="" if without_phase else phase).category in accepted
