"""Builds the sdist and the wheel of a commit. The same commit and the same tools give the same bytes.

What differs between two machines is set: times are those of the commit (SOURCE_DATE_EPOCH), owners and modes are
normal ones, files not in the commit are not there (https://reproducible-builds.org/docs/source-date-epoch/).
"""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PLACES = ({"TZ": "UTC", "PYTHONHASHSEED": "1"}, {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "2"})
"""The surroundings of the two builds that are compared, besides time and folder: what must not matter is different."""


class NotReproducibleError(Exception):
    """Two builds of one commit differ; the message names the file."""


def build(root: Path, commit: str, out: Path) -> list[Path]:
    """Build sdist and wheel of the commit twice, and put them into `out`. Raises NotReproducibleError."""
    first, second = (_build_once(root, commit, place) for place in range(2))
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            raise NotReproducibleError(f"{name} differs between two builds of {commit}")
    out.mkdir(parents=True, exist_ok=True)
    for name, data in first.items():
        (out / name).write_bytes(data)
    return [out / name for name in sorted(first)]


def _build_once(root: Path, commit: str, place: int) -> dict[str, bytes]:
    """Return the files of one build by name. The wheel is built from the sdist, as an installer does it."""
    date = int(_git(root, "log", "-1", "--format=%ct", commit))
    with tempfile.TemporaryDirectory() as folder:
        source, unpacked, out = (Path(folder, name) for name in ("source", "unpacked", "out"))
        _unpack(_git(root, "archive", "--format=tar", commit), source)
        sdist = _backend("sdist", source, out, date, place)
        data = normalised(sdist.read_bytes(), date)
        _unpack(gzip.decompress(data), unpacked)
        wheel = _backend("wheel", next(unpacked.iterdir()), out, date, place)
        return {sdist.name: data, wheel.name: wheel.read_bytes()}


def normalised(sdist: bytes, date: int) -> bytes:
    """Return the sdist in one order, with one time (Unix seconds), one owner, and modes 0644 or 0755."""
    plain = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sdist)) as given,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as made,
    ):
        for member in sorted(given.getmembers(), key=lambda member: member.name):
            executable = member.isdir() or member.mode & 0o100
            member.mode, member.mtime = 0o755 if executable else 0o644, date
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.pax_headers = {}
            made.addfile(member, given.extractfile(member) if member.isfile() else None)
    return gzip.compress(plain.getvalue(), mtime=date)


def _backend(kind: str, source: Path, out: Path, date: int, place: int) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(out), str(source)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | PLACES[place] | {"SOURCE_DATE_EPOCH": str(date)},
        umask=0o022,
    )
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def _unpack(tar: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        archive.extractall(folder, filter="data")


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *arguments], check=True, stdout=subprocess.PIPE).stdout
