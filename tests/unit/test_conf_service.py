"""The unit for systemd: whole, hardened, and for the program as it is."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.app.relay import DRAIN

UNIT = Path(__file__).resolve().parents[2] / "conf" / "relay.service"

TEMPLATE = UNIT.with_name("relay@.service")
"""The unit of one of several nodes."""

MAX_EXPOSURE = 2.0
"""The scale of `systemd-analyze security` goes from 0, shut, to 10; an unhardened service has 9.6."""


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze")
    return program


def test_it_is_hardened(analyze: str) -> None:
    command = [analyze, "security", "--offline=true", "--no-pager", str(UNIT)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in said.stderr:
        pytest.skip("needs systemd 250, for systemd-analyze --offline")
    level = re.search(r"Overall exposure level for relay\.service: ([\d.]+)", said.stdout)
    assert level is not None, said.stdout + said.stderr
    assert float(level[1]) <= MAX_EXPOSURE, said.stdout


@pytest.mark.parametrize(("file", "name"), [(UNIT, "relay.service"), (TEMPLATE, "relay@2.service")])
def test_systemd_understands_every_line(analyze: str, tmp_path: Path, file: Path, name: str) -> None:
    for one in UNIT, TEMPLATE:
        (tmp_path / one.name).write_text(one.read_text().replace("/opt/relay/bin/relay", "/bin/true"))
    said = subprocess.run([analyze, "verify", str(tmp_path / name)], capture_output=True, text=True, check=False)
    about_order_of_the_first = "relay@1.service: Dependency After=relay@1.service is dropped."
    assert [line for line in said.stderr.splitlines() if "relay" in line and line != about_order_of_the_first] == []


def test_a_node_runs_like_the_relay_alone_but_for_its_number() -> None:
    alone, node = (set(file.read_text().splitlines()) for file in (UNIT, TEMPLATE))
    assert {line.split("=")[0] for line in alone ^ node if not line.startswith("#")} == {
        "Description",
        "After",
        "Conflicts",
        "ExecStart",
    }
    assert "ExecStart=/opt/relay/bin/relay serve -c /etc/relay/relay.toml --node %i" in node


def test_the_stop_takes_no_longer_than_systemd_waits() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert float(service["TimeoutStopSec"].removesuffix("s")) > DRAIN + 10
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
