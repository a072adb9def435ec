"""Every form of returning mail we know, one sample each: `tests/golden/dsn/NAME.eml` and what it means, `NAME.json`."""

import json
from pathlib import Path
from typing import Any

import pytest

from relay.dsn.classify import classify_recipient
from relay.dsn.parse import parse
from relay.dsn.rules_file import built_in_rules

SAMPLES = sorted((Path(__file__).parents[1] / "golden" / "dsn").glob("*.eml"))

RULES = built_in_rules()


def meaning(content: bytes) -> dict[str, Any]:
    report = parse(content)
    recipients = [
        {
            "address": one.address,
            "action": one.action,
            "status": one.status,
            "code": one.code,
            "phase": one.phase,
            "category": classify_recipient(RULES, report, one).category if one.action in ("failed", "delayed") else "",
        }
        for one in report.recipients
    ]
    told = {
        "kind": report.kind,
        "reporting_mta": report.reporting_mta,
        "envelope_id": report.envelope_id,
        "message_id": report.message_id,
        "feedback": report.feedback.feedback_type if report.feedback else "",
    }
    return {key: value for key, value in told.items() if value} | {"recipients": recipients}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_sample_means_what_its_json_says(sample: Path) -> None:
    assert meaning(sample.read_bytes()) == json.loads(sample.with_suffix(".json").read_text("utf-8"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_line_ends_do_not_matter(sample: Path) -> None:
    content = sample.read_bytes()
    assert meaning(content.replace(b"\n", b"\r\n")) == meaning(content)


def test_there_are_samples() -> None:
    assert len(SAMPLES) > 30
