"""Tries the reported cases of the shared data on a relay: `python -m tests.cases [CASE ...]`, or `make cases`.

CASE is a group or the start of a case's folder: `transport`, `content/f0`; all of them without one. The output of each
check stays in tests/.artifacts/cases. Exits with 1 if a check fails. Needs the shared data (RELAY_SHARED, or ../shared
beside the checkout); says so and ends with 0 where there is none.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.shared import SHARED

ROOT = Path(__file__).resolve().parents[2]

CASES = SHARED / "cases"

ARTIFACTS = ROOT / "tests" / ".artifacts" / "cases"

GROUPS = ("content", "transport", "operation", "security")

PARALLEL = 2
"""Checks at a time: most of them wait for the network, a few use a processor each."""

MARK = "RELAY_CASE"
"""A variable of the environment, whose value is another for each check: what the check starts inherits it."""

TIMEOUT = 600
"""Seconds one check may take."""


class Result(StrEnum):
    """What came of a case; the value is its column in the summary."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    TOO_LONG = "too long"


@dataclass(frozen=True)
class Outcome:
    case: str
    """Group and folder."""

    result: Result
    code: int | None
    """Exit code of the check; None if it took too long."""

    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--relay", type=Path, default=Path(sys.executable).with_name("relay"), help="under test")
    asked = parser.parse_args()
    if not CASES.is_dir():
        print(f"cases: skipped: the reported cases are not at {CASES} (set RELAY_SHARED to the shared data)")
        return 0

    checks = find_checks(CASES, asked.cases or GROUPS)
    if not checks:
        parser.error(f"no case starts with {' or '.join(asked.cases)} in {CASES}")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(PARALLEL) as pool:
        outcomes = list(pool.map(lambda check: run(check, asked.relay), checks))
    print("\n".join(summarize(outcomes)))
    return int(any(outcome.result in (Result.FAILED, Result.TOO_LONG) for outcome in outcomes))


def find_checks(cases: Path, wanted: Sequence[str]) -> list[Path]:
    """Return the checks of the cases whose group and folder start with one of these texts, by group."""
    found = (check for group in GROUPS for check in sorted((cases / group).glob("*/check")))
    return [check for check in found if _name(check).startswith(tuple(wanted))]


def run(check: Path, relay: Path) -> Outcome:
    """Try a case and print what came of it."""
    case, began = _name(check), time.monotonic()
    output = ARTIFACTS / f"{case.replace('/', '.')}.txt"
    mark = uuid.uuid4().hex
    with output.open("wb") as file:
        # A session and a mark of its own: what the check started ends with it, also when it took too long.
        environment = {**os.environ, MARK: mark}
        process = subprocess.Popen([check, relay], stdout=file, stderr=file, start_new_session=True, env=environment)
        try:
            code = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_session(process)
            _end_marked(mark)

    outcome = Outcome(case, judge(code), code, time.monotonic() - began)
    print(f"{outcome.result:8} {outcome.seconds:4.0f} s  {case}", flush=True)
    if outcome.result is not Result.PASSED:
        print(f"    {_last_line(output)}", flush=True)
    return outcome


def judge(code: int | None) -> Result:
    """Return the result by the exit code of a check, None if it took too long."""
    match code:
        case None:
            return Result.TOO_LONG
        case 0:
            return Result.PASSED
        case 77:  # By the README of the cases: something that the check needs is not installed.
            return Result.SKIPPED
        case _:
            return Result.FAILED


def summarize(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each group, and one for each case that did not pass."""
    count = Counter((outcome.case.split("/")[0], outcome.result) for outcome in outcomes)
    lines = [
        f"cases {group}: " + ", ".join(f"{count[group, result]} {result}" for result in Result)
        for group in GROUPS
        if any(count[group, result] for result in Result)
    ]
    not_passed = [outcome for outcome in outcomes if outcome.result is not Result.PASSED]
    return lines + [f"  {outcome.result}: {outcome.case} (see {ARTIFACTS})" for outcome in not_passed]


def _name(check: Path) -> str:
    return f"{check.parent.parent.name}/{check.parent.name}"


def _end_session(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _end_marked(mark: str) -> None:
    """End what has the mark: a check that fails leaves servers in sessions of their own. Needs /proc."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue


def _last_line(output: Path) -> str:
    lines = output.read_text(errors="replace").splitlines()
    return lines[-1][:300] if lines else "(no output)"


if __name__ == "__main__":
    sys.exit(main())
