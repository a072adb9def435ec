"""How well bounces are understood, by the scoring program of the shared, labelled mails and replies."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench.bounces import Score, measure, recipients, replies
from relay.dsn.rules_file import load_bounce_rules
from tests.shared import shared


def score(what: str, *options: str) -> dict[str, Any]:
    data = shared("data/bounces")
    mode = "--paths" if what == "mail" else "--replies"
    command = [sys.executable, str(data / "score.py"), what, "--data", str(data), "--json", *options]
    program = f"{sys.executable} -m relay.cli.classify {mode}"
    done = subprocess.run([*command, "--cmd", program], capture_output=True, check=True, text=True, timeout=110)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def share(told: str) -> float:
    """Take the percentage of "98.1 (53/54)" or the quotient of "1 of 100 ..." and "0/49" as one."""
    words = told.replace("/", " ").replace(" of ", " ").split()
    return float(words[0]) if "(" in told else 100 * int(words[0]) / max(1, int(words[1]))


def test_mails() -> None:
    figures = score("mail", "--lines")
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


def test_replies() -> None:
    figures = score("replies")
    assert figures["errors"] == 0
    assert figures["category_accepted"] >= 92
    assert share(figures["suppress_recall"]) >= 94
    assert share(figures["suppress_wrong"]) <= 1


@pytest.mark.parametrize(("told", "percent"), [("98.1 (53/54)", 98.1), ("1 of 100 suppressions", 1.0), ("0/49", 0.0)])
def test_share(told: str, percent: float) -> None:
    assert share(told) == percent


@pytest.mark.parametrize(("cases", "accepted"), [(replies, 85), (recipients, 88)])
def test_a_source_left_out_is_understood_by_the_rest(cases: Any, accepted: int) -> None:
    _, without, _ = measure(load_bounce_rules(None), list(cases(shared("data/bounces"), "source")))
    assert isinstance(without, Score)
    assert 100 * without.accepted / without.cases >= accepted, str(without)
    assert 100 * without.hit / without.needed >= 93, str(without)
    assert 100 * without.wrong / without.suppressed <= 2, str(without)
