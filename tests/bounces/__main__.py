"""Print how well the labelled bounces are understood: overall, by source, and without what each source taught."""

import sys
from pathlib import Path

import click

from relay.dsn.bounce_rules import Rules
from relay.dsn.rules_file import built_in_rules
from tests.bounces.cases import SUPPRESSING, Case, Score, recipients, replies
from tests.bounces.left_out import (
    left_out,
    phrase_sources,
    rule_sources,
    total,
    without_phrases,
    without_rules,
)
from tests.bounces.mutations import MUTATIONS, wrong_ones
from tests.bounces.official import score
from tests.shared import SHARED

FIGURES = (
    "kind_accuracy",
    "ordinary_mail_called_bounce",
    "recipient_precision",
    "recipient_recall",
    "action_accuracy_of_found",
    "category_accepted",
    "suppress_recall",
    "suppress_wrong",
)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=SHARED / "data/bounces", help="The labelled data.")
@click.option("--by", type=click.Choice(["source", "family"]), default="source", help="What is left out at a time.")
@click.option("--misses", is_flag=True, help="Print every case that is not understood.")
@click.option("--mutations", is_flag=True, help="Mutate every mail each way, and print what is wrong then.")
def main(data: Path, by: str, misses: bool, mutations: bool) -> None:
    """Classify labelled bounces with the rules, and without what each source taught."""
    if not data.exists():
        print(f"skipped: needs the labelled bounces in {data} (set RELAY_SHARED to their folder)")
        return
    rules = built_in_rules()
    for what, cases in (("replies", list(replies(data, by))), ("mail", list(recipients(data, by)))):
        figures = score(data, what)
        print(f"{what}, by the scoring program:")
        print(*(f"    {name:30} {figures[name]}" for name in FIGURES if name in figures), sep="\n")
        compare(rules, cases, by)
        for case in cases if misses else ():
            show_miss(rules, case)
    if mutations:
        faulty = [name for name in MUTATIONS if not mutate(data, name)]
        sys.exit(bool(faulty))


def compare(rules: Rules, cases: list[Case], by: str) -> None:
    """Print the score of each source: by all rules, without rules and without phrases that serve it alone."""
    whole = left_out(rules, cases, {}, lambda every, _taught, _source: every)
    no_rules = left_out(rules, cases, rule_sources(rules, cases), without_rules)
    no_phrases = left_out(rules, cases, phrase_sources(rules, cases), without_phrases)
    for title, scores in (
        ("all rules", whole),
        (f"rules of one {by} left out", no_rules),
        (f"phrases of one {by} left out", no_phrases),
    ):
        print(f"    {title:30} {total(scores.values())}")
    print(f"    {by:40} {'all':>7} {'rules':>7} {'phrases':>7}   % accepted; wrong suppressions")
    for source in whole:
        row = [whole[source], no_rules[source], no_phrases[source]]
        shares = " ".join(f"{_share(one):7.1f}" for one in row)
        print(f"    {source:40} {shares}   {'/'.join(str(one.wrong) for one in row)} of {row[0].cases}")


def _share(score: Score) -> float:
    return 100 * score.accepted / score.cases


def show_miss(rules: Rules, case: Case) -> None:
    """Print a case whose category is not accepted, or that is wrongly suppressed."""
    found = case.classify(rules)
    if found.category not in case.accepted:
        mark = "!!" if found.category in SUPPRESSING and not SUPPRESSING & case.accepted else "  "
        print(f"  {mark} {found.category} by {found.rule}, wants {case.category}: {case.name[:120]}")


def mutate(data: Path, name: str) -> bool:
    """Print what a mutation makes of the mails; return whether nothing is wrong."""
    wrong = wrong_ones(data, name)
    print(f"{name:20} {len(wrong)} wrong", *(f"    {file}: {', '.join(found)}" for file, found in wrong), sep="\n")
    return not wrong


if __name__ == "__main__":
    main()
