"""The unit for systemd: whole, hardened, and for the program as it is."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.app.relay import DRAIN

UNIT = Path(__file__).resolve().parents[2] / "conf" / "relay.service"

MOST_EXPOSED = 2.0
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
    assert float(level[1]) <= MOST_EXPOSED, said.stdout


def test_systemd_understands_every_line(analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / "relay.service"
    unit.write_text(UNIT.read_text().replace("/opt/relay/bin/relay", "/bin/true"))
    said = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert [line for line in said.stderr.splitlines() if "relay.service" in line] == []


def test_the_stop_takes_no_longer_than_systemd_waits() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert float(service["TimeoutStopSec"].removesuffix("s")) > DRAIN + 10
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
