"""`relay classify`: classifies returned mail and SMTP replies, as JSON."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from relay.cli.common import EX_CONFIG, EX_NOINPUT
from relay.cli.output import use_utf_8
from relay.dsn.bounce_rules import Rules, RulesError, load_rules
from relay.dsn.classify import Classification, classify_recipient
from relay.dsn.classify import classify as classify_text
from relay.dsn.parse import parse
from relay.dsn.report import Recipient, Report
from relay.dsn.rules_file import built_in_rules


@click.command("classify")
@click.option("--paths", is_flag=True, help="Read one path per line from stdin; write one JSON object per line.")
@click.option(
    "--replies", is_flag=True, help='Read one {"text", "phase"} per line from stdin; write one JSON object per line.'
)
@click.option(
    "--rules", "rules_file", type=click.Path(path_type=Path), help="File with rules that replace the built-in ones."
)
def classify(paths: bool, replies: bool, rules_file: Path | None) -> None:
    """Classify a returned mail: reads the raw mail from stdin, writes JSON to stdout."""
    if paths and replies:
        raise click.UsageError("--paths and --replies exclude each other: give one of them")
    rules = _load(rules_file)
    use_utf_8()
    if paths:
        _print(_classify_file(rules, line) for line in _lines())
    elif replies:
        _print(_classify_reply(rules, line) for line in _lines())
    else:
        click.echo(_json(_classify_mail(rules, sys.stdin.buffer.read())))


def _load(rules_file: Path | None) -> Rules:
    try:
        if rules_file is None:
            return built_in_rules()
        return load_rules(rules_file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        click.echo(f"cannot read the rules: {fault}", err=True)
        sys.exit(EX_NOINPUT)
    except RulesError as fault:
        click.echo(f"{rules_file or 'built-in rules'}: {fault}", err=True)
        sys.exit(EX_CONFIG)


def _lines() -> Iterable[str]:
    return (text for line in sys.stdin.buffer if (text := line.decode("utf-8", "replace").strip()))


def _print(answers: Iterable[Mapping[str, Any]]) -> None:
    for answer in answers:
        click.echo(_json(answer))


def _classify_file(rules: Rules, line: str) -> dict[str, Any]:
    try:
        return _classify_mail(rules, Path(line).read_bytes())
    except OSError as fault:
        return {"error": f"cannot read {line}: {fault.strerror}"}


def _classify_mail(rules: Rules, content: bytes) -> dict[str, Any]:
    report = parse(content)
    return {
        "kind": report.kind,
        "recipients": [_recipient(rules, report, one) for one in report.recipients],
        "reporting_mta": report.reporting_mta,
        "message_id": report.message_id,
        "envelope_id": report.envelope_id,
        "feedback_type": report.feedback.feedback_type if report.feedback else "",
    }


def _recipient(rules: Rules, report: Report, one: Recipient) -> dict[str, Any]:
    fields = {
        "recipient": one.address,
        "action": one.action,
        "status": one.status,
        "diagnostic": one.diagnostic,
        "remote_mta": one.remote_mta,
    }
    if one.action in ("delivered", "complained", "reported"):
        return fields | {"category": {"complained": "complaint"}.get(one.action, one.action)}
    return fields | _meaning(classify_recipient(rules, report, one))


def _classify_reply(rules: Rules, line: str) -> dict[str, Any]:
    try:
        given = json.loads(line)
        text, phase = str(given["text"]), str(given.get("phase", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"error": 'not a JSON object with "text" and "phase"'}
    return _meaning(classify_text(rules, text, phase=phase))


def _meaning(found: Classification) -> dict[str, Any]:
    about = found.about
    return {
        "category": found.category,
        "title": about.title,
        "rule": found.rule,
        "wait": found.wait,
        "on_temporary": about.on_temporary,
        "on_permanent": about.on_permanent,
        "suppression": about.suppression,
        "lane": about.lane,
        "guidance": [found.rule_guidance] if found.rule_guidance else list(about.guidance),
    }


def _json(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)


if __name__ == "__main__":
    classify()
