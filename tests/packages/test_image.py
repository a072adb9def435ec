"""The image: its Dockerfile is linted, built in clean roots step by step, and run as an engine would run it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.clean_root import ROOT, CleanRoot
from tests.packages.dockerfile import Stage, build, parse
from tests.packages.tools import tool

DOCKERFILE = ROOT / "packaging" / "Dockerfile"

STAGES = parse(DOCKERFILE.read_text(encoding="utf-8"))

CLIENT = (ROOT / "tests" / "packages" / "image_client.py").read_bytes()

RUN = """
set -e
relay init --domain example.com --listen 0.0.0.0 --no-doctor >/tmp/init.txt
relay serve >/tmp/log.txt 2>&1 &
server=$!
for try in $(seq 300); do
    if relay status >/tmp/status.txt 2>&1; then break; fi
    kill -0 $server
    sleep 0.1
done
cat /tmp/status.txt
python3 /usr/local/share/client.py /tmp/init.txt
kill -TERM $server
wait $server
echo "ended with $?"
"""
"""What somebody does with the image: `docker run … init`, `docker run …`, and an application that sends a mail."""


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([tool("hadolint"), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_not_ignored() -> None:
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = [
        word
        for stage in STAGES
        for one in stage.instructions
        if one.word == "COPY" and "from" not in one.flags
        for word in one.words[:-1]
    ]
    assert {word.split("/")[0] for word in copied} == kept
    assert all((ROOT / word).exists() for word in copied)


@pytest.fixture(scope="module")
def image(bookworm: Path) -> Iterator[tuple[Stage, CleanRoot]]:
    """The last stage and its root, built like an engine builds it."""
    with CleanRoot(bookworm) as first, CleanRoot(bookworm) as second:
        roots: dict[str, CleanRoot] = {}
        for stage, root in zip(STAGES, (first, second), strict=True):
            assert stage.image == "debian:bookworm-slim"
            build(stage, root, ROOT, roots)
            roots[stage.name] = root
        yield STAGES[-1], second


def test_the_image_has_no_compiler_and_no_tools_of_a_build(image: tuple[Stage, CleanRoot]) -> None:
    _, root = image
    for name in ("gcc", "cc", "g++", "make", "pip", "pip3", "git"):
        found = root.run("/bin/sh", "-c", f"command -v {name} || ls /opt/relay/bin/{name}", check=False)
        assert found.returncode != 0, found.stdout
    assert root.run("/opt/relay/bin/python3", "-c", "import psycopg, relay.rewrite._native, relay.mail._native")


def test_it_runs_with_a_read_only_root_as_a_user_without_privileges(image: tuple[Stage, CleanRoot]) -> None:
    stage, root = image
    root.put("/usr/local/share/client.py", CLIENT)
    user = stage.last("USER").text
    assert user == "10025:10025"
    done = root.run(
        *("/bin/sh", "-c", RUN),
        env=stage.environment,
        user=user,
        folder=stage.last("WORKDIR").text,
        read_only=True,
        network=False,
    )
    assert "healthy        True" in done.stdout
    assert "AUTH before TLS is refused: 538" in done.stdout
    assert "without a login it is refused: 530" in done.stdout
    assert "accepted: 250" in done.stdout
    assert "ended with 0" in done.stdout
    written = {path.name for path in (root.volumes / "data").iterdir()}
    assert {"relay.db", "tracker.key", "dkim"} <= written
    assert (root.volumes / "data" / "relay.db").stat().st_uid == 10025


def test_what_the_image_runs_is_what_was_tried() -> None:
    last = STAGES[-1]
    assert last.last("ENTRYPOINT").words == ["relay"]
    assert last.last("CMD").words == ["serve"]
    assert last.last("HEALTHCHECK").text.endswith('CMD ["relay", "status"]')
    assert set(last.last("VOLUME").words) == {"/etc/relay", "/var/lib/relay"}
