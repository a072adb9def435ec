"""The most clicked links of `relay report engagement` get their visible text from a copy of the mail."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.client import AdminClient
from relay.cli.report import report
from relay.reports.engagement import engagement_report
from relay.reports.ports import CampaignCounts, Click

MAIL = b'Content-Type: text/html\r\n\r\n<a href="https://a.test/"><b>Buy</b> now</a>\r\n'

CLICKS = [Click("spring", "A", 0, "https://a.test/"), Click("spring", "A", 1, "https://b.test/")]


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(client: AdminClient, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        assert path == "/reports/engagement"
        return {**engagement_report([CampaignCounts("spring", 2, 2)], CLICKS), "clicks_cut": False}

    monkeypatch.setattr(AdminClient, "__init__", lambda client, path: None)
    monkeypatch.setattr(AdminClient, "get", get)


def run(*options: str) -> str:
    result = CliRunner().invoke(report, ["engagement", *options])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_copy_of_the_mail_names_its_links(tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(MAIL)
    links = json.loads(run("--mail", str(file), "--json"))["links"]
    assert [(link["target"], link["text"]) for link in links] == [
        ("https://a.test/", "Buy now"),
        ("https://b.test/", ""),
    ]
    assert "1       Buy now  https://a.test/" in run("--mail", str(file))


def test_without_a_copy_there_is_no_text() -> None:
    assert "text" not in json.loads(run("--json"))["links"][0]
    assert "TEXT" not in run()
