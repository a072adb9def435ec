"""Runs the last commands of the first mail inside a root; a name server and a mailbox stand for the internet.

A process of its own, in a network of its own: the relay has the ports that README.md names. Arguments: the command that
opens a shell in the root, and the commands of the page, both as JSON. It writes what it found as JSON.
"""

import asyncio
import email
import email.policy
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import dkim

from tests.packages.clean_root import SECONDS
from tests.servers.dns_server import DnsServer
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until

ZONE = """
example.net. MX 10 mx.example.net.
mx.example.net. A 127.0.0.1
gmail.com. MX 10 mx.example.net.
mail.example.com. A 127.0.0.1
1.0.0.127.in-addr.arpa. PTR mail.example.com.
"""

READER = "Mozilla/5.0 (X11; Linux x86_64) Thunderbird/140.0"


class Shell:
    """A shell in the root: one line at a time, and what it wrote."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, line: str) -> tuple[int, str]:
        """Run a line; return its exit code and its output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\ncode=$?; echo; echo @@ $code\n".encode())
        written = b""
        async with asyncio.timeout(SECONDS):
            while not (end := re.search(rb"^@@ (\d+)\n", written, re.MULTILINE)):
                more = await self._process.stdout.readline()
                assert more, f"the shell ended: {written.decode()}"
                written += more
        return int(end[1]), written[: end.start()].decode()


async def story(opened: list[str], lines: list[str]) -> dict[str, Any]:
    """Carry out the commands, read the mail as a person would, and return what happened."""
    init, doctor, serve, send = lines
    async with Sink() as mailbox, DnsServer(ZONE) as names:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *opened, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        shell = Shell(process)
        internet = {
            "RELAY__DELIVERY__PORT": str(mailbox.port),
            "RELAY__DELIVERY__ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "RELAY__RESOLVER__NAMESERVERS": f'["127.0.0.1:{names.port}"]',
        }
        await shell.run("; ".join(f"export {name}='{value}'" for name, value in internet.items()))
        await succeeds(shell, init)
        zone = await succeeds(shell, "relay domain records example.com --zone")
        for line in zone.splitlines():
            if " IN " in line:
                names.add(line.replace(" IN ", " ", 1))
        code, checks = await shell.run(doctor)

        await shell.run(f"{serve} >/tmp/relay.log 2>&1 & server=$!")
        await until(lambda: is_running(shell))
        await succeeds(shell, send)
        (received,) = await mailbox.received(1)
        location = await asyncio.to_thread(read, received.content)
        events = await until(lambda: clicked(shell))
        await shell.run("kill $server; wait $server")
        # At the end of its input the shell ends, and with it all that runs in its namespaces.
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        return {
            "events": events,
            "location": location,
            "signed": await asyncio.to_thread(verify, received.content, zone),
            "doctor": [code, *(line for line in checks.splitlines() if line.startswith("✗"))],
        }


async def succeeds(shell: Shell, line: str) -> str:
    """Run a line, and return its output."""
    code, written = await shell.run(line)
    assert code == 0, f"{line} ended with {code}: {written}"
    return written


async def is_running(shell: Shell) -> bool:
    """Whether the server is up."""
    code, _ = await shell.run("relay status")
    return code == 0


async def clicked(shell: Shell) -> list[str]:
    """Return the kinds of the events once there is a click."""
    written = await succeeds(shell, "relay trace you@example.net --json")
    kinds = [event["event"] for line in written.splitlines() if line for event in json.loads(line)["events"]]
    return kinds if "click" in kinds else []


def read(content: bytes) -> str:
    """Load the images and follow the link; return where it leads."""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    part = mail.get_body(("html",))
    assert part is not None
    html = part.get_content()
    fetch(re.findall(r'src="(http[^"]+/o/[^"]+)"', html)[0])
    return fetch(re.findall(r'href="(http[^"]+/c/[^"]+)"', html)[0])


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect."""


def fetch(url: str) -> str:
    """Request a URL as a reader; return where it leads, "" for nowhere."""
    request = urllib.request.Request(url, headers={"User-Agent": READER})
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=PATIENCE):
            return ""
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.headers["Location"] or ""


def verify(content: bytes, zone: str) -> bool:
    """Whether the signature holds with the record that `relay init` showed."""

    def lookup(name: bytes, timeout: int = 5) -> bytes | None:
        lines = [line for line in zone.splitlines() if line.startswith(f"{name.decode().rstrip('.')}. ")]
        return "".join(re.findall(r'"([^"]*)"', lines[0])).encode() if lines else None

    return bool(dkim.DKIM(content).verify(dnsfunc=lookup))  # type: ignore[no-untyped-call]


def main() -> None:
    """Bring up the network, and write what happened."""
    opened, lines = map(json.loads, sys.argv[1:])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(json.dumps(asyncio.run(story(opened, lines))))


if __name__ == "__main__":
    main()
