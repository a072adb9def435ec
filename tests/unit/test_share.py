"""The files that come with the program: whole, and about metrics and pages that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli import main
from relay.cli.share import FILES, shared_files
from relay.metrics import Metrics

ROOT = Path(__file__).parents[2]

RULES = dict(shared_files())["alerts.yml"]

DASHBOARD = json.loads(dict(shared_files())["grafana.json"])

QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]

_METRIC = re.compile(r"\b(?:relay|process|python)_[a-z0-9_]+\b")


def metrics_of(text: str) -> set[str]:
    """The names of metrics in queries; names of labels and values are not among them."""
    return set(_METRIC.findall(re.sub(r'"[^"]*"', '""', text)))


@pytest.fixture(scope="module")
def known() -> set[str]:
    types = re.findall(r"^# TYPE (\S+) (\S+)", Metrics().exposition().decode(), re.MULTILINE)
    parts = {f"{name}{end}" for name, kind in types if kind == "histogram" for end in ("_bucket", "_sum", "_count")}
    return {name for name, _ in types} | parts


def expressions(rules: str) -> str:
    return "\n".join(re.findall(r"expr: (?:>-\n)?(.*?)\n        (?:for|labels):", rules, re.DOTALL))


def test_the_dashboard_names_only_metrics_that_exist(known: set[str]) -> None:
    used = metrics_of("\n".join(QUERIES))
    assert used <= known
    assert len(used) > 20


def test_the_rules_name_only_metrics_that_exist(known: set[str]) -> None:
    used = metrics_of(expressions(RULES))
    assert used <= known
    assert len(used) > 10


def test_the_dashboard_has_seven_rows_and_no_panel_twice() -> None:
    assert len([panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]) == 7
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_each_alert_has_an_entry_in_the_runbook() -> None:
    headings = set(re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE))
    links = re.findall(r"runbook: \"docs/runbook.md#(\w+)\"", RULES)
    assert set(links) == {heading.lower() for heading in headings}
    assert len(links) == RULES.count("- alert: ")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_accepts_rules_queries_and_metrics(tmp_path: Path) -> None:
    queries = "".join(
        f"  - record: dashboard:query{number}\n    expr: {json.dumps(query.replace('$__rate_interval', '5m'))}\n"
        for number, query in enumerate(QUERIES)
    )
    (tmp_path / "alerts.yml").write_text(RULES)
    (tmp_path / "dashboard.yml").write_text(f"groups:\n- name: dashboard\n  rules:\n{queries}")
    files = [str(tmp_path / name) for name in ("alerts.yml", "dashboard.yml")]
    subprocess.run(["promtool", "check", "rules", *files], check=True, capture_output=True)

    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=Metrics().exposition(), check=False, capture_output=True
    )
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_all_files_are_written_and_none_is_replaced_unasked(tmp_path: Path) -> None:
    run = CliRunner().invoke
    written = run(main, ["share", str(tmp_path / "new")])
    assert written.exit_code == 0
    assert {Path(line).name for line in written.output.splitlines()} >= set(FILES)
    assert (tmp_path / "new" / "relay.toml").read_text() == (ROOT / "conf" / "relay.toml").read_text()

    (tmp_path / "new" / "relay.toml").write_text("mine")
    refused = run(main, ["share", str(tmp_path / "new")])
    assert refused.exit_code == 73
    assert "relay.toml" in refused.output
    assert (tmp_path / "new" / "relay.toml").read_text() == "mine"
    assert run(main, ["share", str(tmp_path / "new"), "--force"]).exit_code == 0
    assert (tmp_path / "new" / "relay.toml").read_text() != "mine"
