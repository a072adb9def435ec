"""`relay classify` in its three forms."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.classify import classify

GOLDEN = Path(__file__).parents[1] / "golden" / "dsn"


def answers(*arguments: str, given: bytes = b"") -> list[dict[str, Any]]:
    result = CliRunner().invoke(classify, arguments, input=given, catch_exceptions=False)
    assert result.exit_code == 0
    return [json.loads(line) for line in result.output.splitlines()]


def test_a_mail_on_stdin() -> None:
    (answer,) = answers(given=(GOLDEN / "qmail.eml").read_bytes())
    assert answer["kind"] == "bounce"
    first, second = answer["recipients"]
    assert (first["recipient"], first["action"], first["category"]) == ("ann@dest.example", "failed", "bad_mailbox")
    assert second["category"] == "bad_domain"
    assert first["suppression"] == "now"
    assert first["guidance"]


def test_paths_give_a_line_each_and_an_error_for_unreadable_files(tmp_path: Path) -> None:
    lines = f"{GOLDEN / 'exim.eml'}\n\n{tmp_path / 'gone.eml'}\n{GOLDEN / 'feedback_report.eml'}\n"
    bounce, gone, complaint = answers("--paths", given=lines.encode())
    assert bounce["recipients"][0]["category"] == "virus"
    assert "gone.eml" in gone["error"]
    assert (complaint["kind"], complaint["feedback_type"]) == ("complaint", "abuse")
    assert complaint["recipients"][0]["category"] == "complaint"


def test_each_line_with_a_reply_is_classified() -> None:
    lines = b'{"text": "550 no", "phase": "mail"}\n{"text": "452 4.2.2 over quota"}\n[]\nnonsense\n'
    sender, full, *faults = answers("--replies", given=lines)
    assert sender["category"] == "sender_rejected"
    assert (full["category"], full["on_permanent"]) == ("mailbox_full", "bounce")
    assert all("not a JSON object" in fault["error"] for fault in faults)


def test_rules_from_a_file(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "a"\ncategory = "virus"\nphrases = ["odd"]\nexample = "odd"\n')
    (answer,) = answers("--replies", "--rules", str(rules), given=b'{"text": "550 how odd"}\n')
    assert (answer["category"], answer["rule"]) == ("virus", "a")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--paths", "--replies"), 64, "exclude each other"),
        (("--rules", "/nonexistent/rules.toml"), 66, "cannot read the rules"),
    ],
)
def test_wrong_use_ends_with_its_exit_code(arguments: tuple[str, ...], code: int, text: str) -> None:
    result = CliRunner().invoke(classify, arguments, input=b"")
    assert result.exit_code == code
    assert text in result.output


def test_invalid_rules_exit_with_the_code_of_a_configuration_error(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\n")
    result = CliRunner().invoke(classify, ["--rules", str(rules)], input=b"")
    assert result.exit_code == 78
    assert "rules.toml" in result.output
