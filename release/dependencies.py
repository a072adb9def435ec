"""The dependencies of a release: its bill of materials (CycloneDX), and whether any has a known vulnerability."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found: vulnerabilities as "name version: id", and the names that could not be looked up."""

    vulnerable: Sequence[str]
    unknown: Sequence[str]
    error: str = ""
    """Why there was no audit at all, "" for one that took place."""

    def __str__(self) -> str:
        """Say the result in a line or more."""
        if self.error:
            return f"NOT AUDITED: pip-audit failed: {self.error}"
        lines = [f"vulnerable: {one}" for one in self.vulnerable]
        if self.unknown:
            lines.append(f"NOT AUDITED: the vulnerability database has no answer for {', '.join(self.unknown)}")
        return "\n".join(lines) or "audited: no known vulnerability"


def write_bill(root: Path, lock: Path, out: Path) -> None:
    """Write the bill of materials of the locked dependencies as CycloneDX JSON."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    about = ("--pyproject", root / "pyproject.toml", "--mc-type", "application")
    subprocess.run([tool, "requirements", lock, *about, "--output-reproducible", "--of", "JSON", "-o", out], check=True)


def audit(lock: Path) -> Audit:
    """Ask the vulnerability database of PyPI about everything in the lock. What it does not answer is not proven."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    done = subprocess.run([*command, "--format", "json", "-r", str(lock)], capture_output=True, text=True, check=False)
    return read_audit(done.stdout, done.stderr)


def read_audit(answer: str, errors: str) -> Audit:
    """Read what pip-audit printed. It calls a package that it could not look up "skipped", and ends with success."""
    try:
        found = json.loads(answer)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return Audit((), (), (errors.strip().splitlines() or ["no answer"])[-1])
    vulnerable = [f"{one['name']} {one['version']}: {fault['id']}" for one in found for fault in one.get("vulns", ())]
    return Audit(vulnerable, [one["name"] for one in found if "skip_reason" in one])
