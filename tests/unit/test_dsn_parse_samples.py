"""Reports in many forms and languages are understood, and ordinary mail that speaks of failures is no bounce."""

from pathlib import Path

import pytest

from relay.dsn.classify import classify_recipient
from relay.dsn.parse import parse
from relay.dsn.rules_file import built_in_rules

RULES = built_in_rules()

FILES = sorted((Path(__file__).parents[1] / "golden" / "mails").glob("*.txt"))

SAMPLES = [sample.partition("\n")[::2] for path in FILES for sample in path.read_text("utf-8").split("=== ")[1:]]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(("expected", "mail"), SAMPLES, ids=[f"{n}-{told[:30]}" for n, (told, _) in enumerate(SAMPLES)])
def test_mail_is_understood(expected: str, mail: str, end: str) -> None:
    kind, recipients, status, category = (word.strip() for word in expected.split("|"))
    report = parse(mail.replace("\n", end).encode())
    assert report.kind == kind
    if recipients:
        assert [one.address for one in report.recipients] == recipients.split()
    if status:
        assert report.recipients[0].status == status
    if category:
        assert classify_recipient(RULES, report, report.recipients[0]).category in category.split(",")
