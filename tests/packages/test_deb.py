"""The Debian package: built twice with the same bytes, clean for lintian, and installed, used, upgraded and purged."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.clean_root import PATH, ROOT, CleanRoot

BUILD = ROOT / "packaging" / "deb" / "build"

NEEDED = "gcc libc6-dev python3-dev python3-venv dpkg-dev git"

USE = """
set -e
relay init --domain example.com --no-doctor >/tmp/init.txt
chown -R relay: /tmp
runuser -u relay -- relay serve >/tmp/log.txt 2>&1 &
for try in $(seq 300); do
    if relay status >/tmp/status.txt 2>&1; then break; fi
    sleep 0.1
done
cat /tmp/status.txt
kill -TERM $(cat /proc/[0-9]*/stat | awk '$2 == "(relay)" { print $1 }' | head -1)
wait
tail -1 /tmp/log.txt
"""


@pytest.fixture(scope="module")
def package(bookworm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package, built in a bare Debian with what the script names."""
    with CleanRoot(bookworm) as root:
        root.run("/bin/sh", "-c", f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {NEEDED}")
        archive = tmp_path_factory.mktemp("deb") / "source.tar"
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "cf", archive, "--null", "-T", "-"], cwd=ROOT, input=names, check=True)
        root.put("/tmp/source.tar", archive.read_bytes())
        root.run("/bin/sh", "-c", "mkdir -p /src && tar xf /tmp/source.tar -C /src && rm /tmp/source.tar")
        root.run("/bin/sh", "-c", "git init -q /src && git -C /src add -A")
        out = []
        for number in ("1", "2"):
            root.run("/src/packaging/deb/build", f"/out{number}", env={"SOURCE_DATE_EPOCH": "1790000000"})
            (made,) = (root.changed / f"out{number}").glob("trackrelay_*.deb")
            out.append(made.read_bytes())
        assert out[0] == out[1], "two builds of the same source differ"
        kept = archive.with_name(made.name)
        kept.write_bytes(out[0])
        yield kept


def test_lintian_finds_nothing(package: Path) -> None:
    program = shutil.which("lintian", path=PATH)
    if program is None:
        pytest.skip("needs lintian (apt-get install lintian)")
    command = [
        program,
        "--no-cfg",
        "--allow-root",
        "--fail-on",
        "error,warning",
        "--tag-display-limit",
        "0",
        str(package),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_installed_used_and_purged(root: CleanRoot, package: Path) -> None:
    root.put("/tmp/relay.deb", package.read_bytes())
    root.run("/bin/sh", "-c", "apt-get update -qq && apt-get install -y -qq --no-install-recommends /tmp/relay.deb")
    assert root.run("relay", "--version").stdout.startswith("relay, version")
    assert (
        root.run("stat", "-c", "%U:%G %a", "/etc/relay", "/var/lib/relay").stdout == "root:relay 750\nrelay:relay 700\n"
    )
    assert root.run("cat", "/var/lib/dpkg/info/trackrelay.conffiles").stdout == "/etc/default/relay\n"
    assert root.run("/bin/sh", "-c", "find /usr/lib/relay -name '*.pyc' | head -1").stdout
    unit = root.run("cat", "/lib/systemd/system/relay.service").stdout
    for line in ("WatchdogSec=60s", "ExecStart=/usr/bin/relay serve -c /etc/relay/relay.toml", "User=relay"):
        assert line in unit.splitlines()
    assert "DynamicUser" not in unit

    used = root.run("/bin/bash", "-c", USE, network=False)
    assert "healthy        True" in used.stdout
    assert "server.stopped" in used.stdout
    secret = root.run("stat", "-c", "%U %a", "/etc/relay/app1.hash").stdout
    assert secret == "relay 600\n"

    again = root.run("dpkg", "-i", "/tmp/relay.deb")
    assert "error" not in again.stderr.lower()
    assert root.run("test", "-s", "/etc/relay/relay.toml")

    root.run("apt-get", "remove", "-y", "-qq", "trackrelay")
    assert root.run("find", "/usr/lib/relay", check=False).returncode != 0
    root.run("apt-get", "purge", "-y", "-qq", "trackrelay")
    assert root.run("test", "-e", "/etc/default/relay", check=False).returncode == 1
    assert root.run("ls", "/var/lib/relay").stdout != "", "keys of links in sent mail, and mail that waits, are kept"
