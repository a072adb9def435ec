"""A bare Debian in a folder: made once by debootstrap, never changed, and under an overlay of each test."""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]

CACHE = ROOT / "build" / "packages"

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""What this machine trusts: registries of packages may be behind a proxy that has a certificate of its own."""

TRUSTED = Path("/etc/trusted-by-the-test.crt")
"""The same inside."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SECONDS = 600.0

_MOUNTS = """
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
for folder in dev sys; do mount --rbind "/$folder" "$WORK/root/$folder"; done
mount -t proc proc "$WORK/root/proc"
if [ "$NETWORK" = no ]; then ip link set lo up; fi
if [ "$READ_ONLY" = yes ]; then
    # An engine fills a new volume with what the image has at its place.
    if [ ! -e "$WORK/volumes" ]; then
        mkdir "$WORK/volumes"
        cp -a "$WORK/root/etc/relay" "$WORK/volumes/configuration"
        cp -a "$WORK/root/var/lib/relay" "$WORK/volumes/data"
    fi
    mount -t tmpfs tmpfs "$WORK/root/tmp"
    mount --bind "$WORK/volumes/configuration" "$WORK/root/etc/relay"
    mount --bind "$WORK/volumes/data" "$WORK/root/var/lib/relay"
    mount -o remount,ro "$WORK/root"
fi
"""


def base_root(suite: str) -> Path:
    """Return the root of a bare Debian, as debootstrap makes it. Skips without it."""
    missing = [name for name in ("debootstrap", "unshare", "chroot") if shutil.which(name, path=PATH) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'debootstrap'}")
    CACHE.mkdir(parents=True, exist_ok=True)
    base = CACHE / suite
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not base.exists():
            _make(suite, base)
    return base


def _make(suite: str, base: Path) -> None:
    part = base.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", suite, str(part), "http://deb.debian.org/debian"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env={"PATH": PATH}, check=False)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"debootstrap could not make {suite}: {(done.stderr or done.stdout)[-300:]}")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", part / "etc" / name)
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, part / TRUSTED.relative_to("/"))
    (part / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (part / "usr/sbin/policy-rc.d").chmod(0o755)
    part.rename(base)


class CleanRoot:
    """A Debian of its own for one test; what it changes lies above the base."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._work = Path(tempfile.mkdtemp(prefix="root-", dir=CACHE))
        for name in ("upper", "work", "root"):
            (self._work / name).mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._work)

    @property
    def changed(self) -> Path:
        """The folder with what was added or changed."""
        return self._work / "upper"

    @property
    def volumes(self) -> Path:
        """The folders of the volumes of a read-only root."""
        return self._work / "volumes"

    def has(self, path: str) -> bool:
        """Whether a file is there."""
        return any(os.path.lexists(folder / path.lstrip("/")) for folder in (self.changed, self._base))

    def command(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        network: bool = True,
        read_only: bool = False,
        user: str = "0:0",
        folder: str = "/",
    ) -> Sequence[str]:
        """Return the command that runs `words` inside, in namespaces of its own; without `network` it has loopback."""
        inside = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        inside |= {"PIP_CERT": str(TRUSTED)} if (self._base / TRUSTED.relative_to("/")).exists() else {}
        inside |= env or {}
        outside = {
            "BASE": str(self._base),
            "WORK": str(self._work),
            "NETWORK": "yes" if network else "no",
            "READ_ONLY": "yes" if read_only else "no",
        }
        enter = 'exec chroot --userspec="$1" "$WORK/root" /usr/bin/env -i --chdir="$2" '
        enter += "".join(f"{shlex.quote(f'{name}={value}')} " for name, value in inside.items()) + '"${@:3}"'
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        settings = [f"{name}={value}" for name, value in outside.items()]
        return [
            *("env", f"PATH={PATH}", *settings, "unshare", *namespaces),
            *("bash", "-ec", _MOUNTS + enter, "bash", user, folder, *words),
        ]

    def run(self, *words: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what it wrote."""
        command = self.command(*words, **options)  # type: ignore[arg-type]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file inside."""
        file = self.changed / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
