"""`make cases`: which checks are run, and how their exit codes are read."""

import time
from pathlib import Path

import pytest

from tests.cases.__main__ import Outcome, Result, find_checks, judge, run, summarize


def test_the_checks_of_the_groups_are_found_by_their_beginning(tmp_path: Path) -> None:
    for name in ("transport/f01-a", "content/p02-b", "content/f01-c", "content/p03-without-a-check/none"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("transport/f01-a", "content/p02-b", "content/f01-c"):
        (tmp_path / name / "check").touch()

    def found(*wanted: str) -> list[str]:
        return [str(check.parent.relative_to(tmp_path)) for check in find_checks(tmp_path, wanted)]

    assert found("content", "transport") == ["content/f01-c", "content/p02-b", "transport/f01-a"]
    assert found("content/f", "transport") == ["content/f01-c", "transport/f01-a"]


@pytest.mark.parametrize(
    ("code", "result"),
    [(0, Result.PASSED), (1, Result.FAILED), (77, Result.SKIPPED), (-11, Result.FAILED), (None, Result.TOO_LONG)],
)
def test_the_exit_code_of_a_check_is_its_result(code: int | None, result: Result) -> None:
    assert judge(code) is result


def test_the_summary_counts_by_group_and_names_what_did_not_pass() -> None:
    outcomes = [
        Outcome("content/f01", Result.PASSED, 0, 1.0),
        Outcome("content/f02", Result.SKIPPED, 77, 1.0),
        Outcome("security/f-x", Result.TOO_LONG, None, 600.0),
    ]
    content, security, *named = summarize(outcomes)
    assert content == "cases content: 1 passed, 0 failed, 1 skipped, 0 too long"
    assert security == "cases security: 0 passed, 0 failed, 0 skipped, 1 too long"
    assert [line.split(" (")[0] for line in named] == ["  skipped: content/f02", "  too long: security/f-x"]


def test_what_a_failing_check_leaves_in_a_session_of_its_own_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.cases.__main__.ARTIFACTS", tmp_path)
    left = tmp_path / "left"
    check = tmp_path / "content" / "f01-x" / "check"
    check.parent.mkdir(parents=True)
    starts = f"setsid sh -c 'echo $$ > {left}; exec sleep 600' &"
    check.write_text(f"#!/bin/sh\n{starts}\nuntil [ -s {left} ]; do sleep 0.01; done\nexit 1\n")
    check.chmod(0o755)
    assert run(check, Path("/bin/true")).result is Result.FAILED

    pid = int(left.read_text())
    deadline = time.monotonic() + 10
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # It ended, before or during the read.
        return False
