"""Bounces understood without what a source taught: `python -m bench.bounces ../shared/data/bounces`.

The labelled mails and replies come from many sources. For each source in turn, the phrases that occur in its texts and
in no other source's are taken out of the rules; then its texts are classified by what is left. The sum over all
sources tells how well a source is understood that nobody saw before; the rules as they are tell how well they fit.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from relay.dsn.bounce_rules import Rules
from relay.dsn.classify import classify, classify_recipient
from relay.dsn.parse import parse
from relay.dsn.phrases import Phrase
from relay.dsn.report import Recipient, Report
from relay.dsn.rules_file import load_bounce_rules
from relay.dsn.wording import normal_form

SUPPRESSING = frozenset(("bad_mailbox", "bad_domain", "mailbox_disabled"))
CERTAIN = frozenset(("bad_mailbox", "bad_domain"))


@dataclass(frozen=True)
class Case:
    """A reply, or a recipient of a mail, with its label; `report` is None for a reply alone."""

    source: str
    category: str
    accepted: frozenset[str]
    text: str
    phase: str = ""
    report: Report | None = None
    recipient: Recipient | None = None

    def classify(self, rules: Rules) -> str:
        """Return the category the rules give it."""
        if self.report is not None and self.recipient is not None:
            return classify_recipient(rules, self.report, self.recipient).category
        return classify(rules, self.text, phase=self.phase).category


def lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text("utf-8").splitlines())


def source_of(label: dict[str, Any], by: str) -> str:
    """Return the source of a label; by family, the program that wrote it, as the name of its sample tells."""
    if by == "source":
        return str(label["source"]).split("-rhost")[0]
    return re.sub(r"[-_]?\d*(\.\w+)?$", "", label.get("file") or f"{label['source']}__{label['origin']}")


def replies(data: Path, by: str) -> Iterator[Case]:
    for label in lines(data / "replies.jsonl"):
        accepted = frozenset(label["category_ok"])
        yield Case(source_of(label, by), label["category"], accepted, label["text"], label["phase"])


def recipients(data: Path, by: str) -> Iterator[Case]:
    """Yield the recipients of the mails that failed, where their labels name a reason."""
    for label in lines(data / "labels.jsonl"):
        report = parse((data / "eml" / label["file"]).read_bytes())
        found = {one.address.lower(): one for one in report.recipients}
        for told in label["recipients"]:
            one = found.get(told["recipient"].lower())
            if one is not None and told["action"] == "failed" and told["category"] not in ("unknown", "delivered"):
                text = f"{one.diagnostic} {report.text}"
                accepted = frozenset(told["category_ok"])
                yield Case(source_of(label, by), told["category"], accepted, text, report=report, recipient=one)


def teachers(rules: Rules, cases: Iterable[Case]) -> dict[str, set[str]]:
    """Return the sources in whose texts each phrase occurs."""
    found: dict[str, set[str]] = defaultdict(set)
    every = {phrase.source: phrase for rule in rules.rules for phrase in rule.all_phrases()}
    for case in cases:
        normal = normal_form(case.text).prose
        for name in rules.index.possible(normal):
            if case.source not in found[name] and every[name].matches(normal):
                found[name].add(case.source)
    return found


def untaught(rules: Rules, taught: dict[str, set[str]], source: str) -> Rules:
    """Return the rules without the phrases that only this source's texts hold."""

    def kept(phrases: Mapping[str, Phrase]) -> dict[str, Phrase]:
        return {name: phrase for name, phrase in phrases.items() if taught.get(name) != {source}}

    changed = (replace(rule, phrases=kept(rule.phrases), unless=kept(rule.unless)) for rule in rules.rules)
    pairs = zip(rules.rules, changed, strict=True)
    return Rules(tuple(after for before, after in pairs if after.phrases or not before.phrases))


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


def measure(rules: Rules, cases: list[Case]) -> tuple[Score, Score, dict[str, Score]]:
    """Return the score of the rules as they are, without what each source taught, and the latter by source."""
    taught = teachers(rules, cases)
    whole, without = Score(), Score()
    by_source: dict[str, Score] = {}
    for source in sorted({case.source for case in cases}):
        left = untaught(rules, taught, source)
        own = by_source.setdefault(source, Score())
        for case in (one for one in cases if one.source == source):
            whole.count(case, case.classify(rules))
            found = case.classify(left)
            own.count(case, found)
            without.count(case, found)
    return whole, without, by_source


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--by", type=click.Choice(["source", "family"]), default="family", help="What is left out at a time.")
@click.option("--each", is_flag=True, help="Print each source or family as well.")
def main(data: Path, by: str, each: bool) -> None:
    """Classify labelled bounces with the rules, and without what each source taught."""
    rules = load_bounce_rules(None)
    for name, cases in (("replies", list(replies(data, by))), ("mails", list(recipients(data, by)))):
        whole, without, by_source = measure(rules, cases)
        print(f"{name}: all rules      {whole}")
        print(f"{name}: {by} left out {without}")
        for source, score in by_source.items() if each else ():
            print(f"    {source:40} {score}")


if __name__ == "__main__":
    main()
