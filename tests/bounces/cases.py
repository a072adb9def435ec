"""The labelled replies and the recipients of the labelled mails, and the score of what the rules say of them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.dsn.bounce_rules import Rules
from relay.dsn.classify import Classification, classify, classify_recipient
from relay.dsn.parse import parse
from relay.dsn.report import Recipient, Report

SUPPRESSING = frozenset(("bad_mailbox", "bad_domain", "mailbox_disabled"))
CERTAIN = frozenset(("bad_mailbox", "bad_domain"))


@dataclass(frozen=True)
class Case:
    """A reply, or a recipient of a mail, with its label; `report` is None for a reply alone."""

    source: str
    name: str
    category: str
    accepted: frozenset[str]
    text: str
    phase: str = ""
    report: Report | None = None
    recipient: Recipient | None = None

    def classify(self, rules: Rules) -> Classification:
        """Return what the rules say of it."""
        if self.report is not None and self.recipient is not None:
            return classify_recipient(rules, self.report, self.recipient)
        return classify(rules, self.text, phase=self.phase)


@dataclass
class Score:
    """Counts of cases: all, accepted, to be suppressed, suppressed of those, suppressed at all, wrongly suppressed."""

    cases: int = 0
    accepted: int = 0
    needed: int = 0
    hit: int = 0
    suppressed: int = 0
    wrong: int = 0

    def count(self, case: Case, category: str) -> None:
        suppressed = category in SUPPRESSING
        self.cases += 1
        self.accepted += category in case.accepted
        self.needed += case.category in CERTAIN
        self.hit += case.category in CERTAIN and suppressed
        self.suppressed += suppressed
        self.wrong += suppressed and not SUPPRESSING & case.accepted

    def __str__(self) -> str:
        share = 100 * self.accepted / max(1, self.cases)
        recall = 100 * self.hit / max(1, self.needed)
        return (
            f"{share:5.1f} % of {self.cases:3} accepted, suppression recall {recall:5.1f} % of {self.needed:3}, "
            f"{self.wrong} wrong of {self.suppressed}"
        )


def labels(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text("utf-8").splitlines())


def replies(data: Path, by: str) -> Iterator[Case]:
    for label in labels(data / "replies.jsonl"):
        accepted = frozenset(label["category_ok"])
        text = label["text"]
        yield Case(_source(label, by), text, label["category"], accepted, text, label["phase"])


def recipients(data: Path, by: str) -> Iterator[Case]:
    """Yield the recipients of the mails that failed, where their labels name a reason."""
    for label in labels(data / "labels.jsonl"):
        report = parse((data / "eml" / label["file"]).read_bytes())
        found = {one.address.lower(): one for one in report.recipients}
        for told in label["recipients"]:
            one = found.get(told["recipient"].lower())
            if one is not None and told["action"] == "failed" and told["category"] not in ("unknown", "delivered"):
                text = f"{one.diagnostic} {report.text}"
                accepted = frozenset(told["category_ok"])
                name = f"{label['file']} {one.address}"
                yield Case(_source(label, by), name, told["category"], accepted, text, report=report, recipient=one)


def _source(label: dict[str, Any], by: str) -> str:
    """Return the source of a label; by family, the program that wrote it, as the name of its sample tells."""
    if by == "source":
        return str(label["source"]).split("-rhost")[0]
    return re.sub(r"[-_]?\d*(\.\w+)?$", "", label.get("file") or f"{label['source']}__{label['origin']}")
