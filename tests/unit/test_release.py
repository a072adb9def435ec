"""A release: the locks hold what is required, two builds give the same bytes, an audit proves what it says."""

import io
import json
import re
import tarfile
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.dependencies import read_audit
from release.files import normalised

ROOT = Path(__file__).parents[2]

LOCKS = ROOT / "requirements"

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PINNED = re.compile(r"^([\w.-]+)==(\S+)(.*(?:\\\n {4}--hash=sha256:[0-9a-f]{64} ?)+)$", re.MULTILINE)

INSTALLED = PROJECT["project"]["dependencies"]

ASKED = {
    "build.lock": PROJECT["build-system"]["requires"],
    "relay.lock": INSTALLED,
    "postgres.lock": [*INSTALLED, *PROJECT["project"]["optional-dependencies"]["postgres"]],
    **{
        f"{name}.lock": [line for line in (LOCKS / f"{name}.in").read_text().splitlines() if not line.startswith("#")]
        for name in ("release", "packages")
    },
}


def pins(lock: str) -> list[tuple[str, str]]:
    return [(canonicalize_name(name), version) for name, version, _ in PINNED.findall((LOCKS / lock).read_text())]


@pytest.mark.parametrize("lock", ASKED)
def test_a_lock_holds_what_is_asked_for(lock: str) -> None:
    for requirement in map(Requirement, ASKED[lock]):
        versions = [version for name, version in pins(lock) if name == canonicalize_name(requirement.name)]
        assert versions, f"{requirement} is not locked: make lock"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement} is locked as {versions}: make lock"


@pytest.mark.parametrize("lock", ASKED)
def test_everything_locked_has_a_hash(lock: str) -> None:
    lines = [line for line in (LOCKS / lock).read_text().splitlines() if re.match(r"[\w-]", line)]
    assert len(lines) == len(pins(lock))


def test_the_build_backend_is_locked_as_it_is_required() -> None:
    assert (LOCKS / "build.in").read_text().splitlines()[1:] == PROJECT["build-system"]["requires"]


def test_the_described_install_takes_what_is_locked() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert re.findall(r"/pip install (.*)", page) == [
        "--require-hashes -r requirements/build.lock",
        "--require-hashes --no-build-isolation -r requirements/relay.lock",
        "--no-deps --no-build-isolation .",
    ]


def sdist(*names: str, mode: int, owner: str, mtime: float) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime, member.uname, member.uid = len(name), mode, mtime, owner, len(owner)
            archive.addfile(member, io.BytesIO(name.encode()))
    return made.getvalue()


def test_the_same_files_give_the_same_sdist() -> None:
    here = sdist("p/a", "p/b", mode=0o664, owner="jane", mtime=1_700_000_000.25)
    there = sdist("p/b", "p/a", mode=0o600, owner="root", mtime=1_800_000_000)
    assert here != there
    made = normalised(here, 1_600_000_000)
    assert made == normalised(there, 1_600_000_000)
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        found = [(one.name, one.mode, one.mtime, one.uname, one.uid) for one in archive]
        content = archive.extractfile("p/b")
        assert content is not None
        assert content.read() == b"p/b"
    assert found == [("p/a", 0o644, 1_600_000_000, "", 0), ("p/b", 0o644, 1_600_000_000, "", 0)]
    assert normalised(sdist("p/c", mode=0o644, owner="", mtime=0), 1) != normalised(
        sdist("p/d", mode=0o644, owner="", mtime=0), 1
    )


def test_an_audit_names_what_is_vulnerable() -> None:
    one = {"name": "idna", "version": "3.6", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
    found = read_audit(json.dumps({"dependencies": [one]}), "")
    assert found.vulnerable == ["idna 3.6: PYSEC-2024-60"]
    assert str(found) == "vulnerable: idna 3.6: PYSEC-2024-60"


def test_a_package_the_database_did_not_answer_for_is_not_audited() -> None:
    sound = {"name": "click", "version": "8", "vulns": []}
    skipped = {"name": "idna", "skip_reason": "Dependency not found on PyPI and could not be audited: idna (3.6)"}
    found = read_audit(json.dumps({"dependencies": [sound, skipped]}), "No known vulnerabilities found")
    assert found.unknown == ["idna"]
    assert str(found).startswith("NOT AUDITED")
    assert str(read_audit(json.dumps({"dependencies": [sound]}), "")) == "audited: no known vulnerability"


@pytest.mark.parametrize("answer", ["", "{}", "[]", "no JSON"])
def test_an_audit_that_failed_is_no_audit(answer: str) -> None:
    found = read_audit(answer, "Traceback\nConnectionError: no route to host\n")
    assert str(found) == "NOT AUDITED: pip-audit failed: ConnectionError: no route to host"
