"""The relay of the documentation: a server on loopback with the names, addresses and paths the pages use."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.documentation import ROOT, Block, shows, steps_of
from tests.ports import free_port
from tests.servers import documented_user, fork_client
from tests.servers.actions import Action, Received, Say
from tests.servers.dns_server import DnsServer
from tests.servers.fork_client import SERVER
from tests.servers.forked import fork_server
from tests.servers.sink import Sink

BLOCK_SECONDS = 120.0
"""Seconds a block may run, and a server may take to start."""

ZONE = """
example.net. MX 10 mx.example.net.
mx.example.net. A 127.0.0.1
mail.example.com. A 127.0.0.2
2.0.0.127.in-addr.arpa. PTR mail.example.com.
example.com. MX 10 mx.example.net.
smtp.provider.example. A 127.0.0.1
_spf.provider.example. TXT "v=spf1 ip4:127.0.0.1 -all"
"""

CONFIGURATION = """
[server]
hostname = "mail.example.com"
data_dir = "/var/lib/relay"
identities_domain = "example.com"

[[listener]]
name = "submission"
address = "127.0.0.1:2525"

[[listener]]
name = "mx"
kind = "inbound"
address = "127.0.0.2:2527"

[tracker]
address = "127.0.0.1:8025"

[admin]
address = "127.0.0.1:8026"

[metrics]
address = "127.0.0.1:9925"

[alerts]
mail_to = ["postmaster@example.net"]
from = "postmaster@example.com"

[[provider]]
name = "newsletter"
host = "127.0.0.1"
port = 2527
tls = "none"
daily_limit = 10000
spf = "include:_spf.provider.example"

[domains."example.com"]
dkim = { selectors = ["s1", "s2"] }
return_path = "bounces.example.com"
reply_domain = "reply.example.com"

[identities."billing@example.com"]
reply_tracking = true
forward_to = ["owner@example.net"]

[verification]
campaign = false
"""

PRELUDE = f"""
set -eo pipefail
documented_user() {{ {sys.executable} -I {documented_user.__file__} "$@"; }}
send() {{ documented_user send "$@"; }}
await() {{ documented_user await "$@"; }}
read_mail() {{ documented_user read "$@"; }}
"""
"""Commands for setup markers.

`send FROM TO [FIELD...]` sends a mail and writes its queue id. `await EVENT KEY` waits for an event of a message.
`read_mail ADDRESS [click]` fetches the pixel of the last mail to this address, and its first link.
"""


class _Mailbox(Sink):
    """Keeps each mail in a folder of its recipient. Addresses of `nobody` do not exist."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def action(self, moment: str) -> Action | None:
        if moment.startswith("RCPT nobody@"):
            return Say("550 5.1.1 no such user")
        return super().action(moment)

    def keep(self, message: Received) -> None:
        super().keep(message)
        for recipient in message.recipients:
            folder = self._folder / recipient
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{len(self.messages):03}.eml").write_bytes(message.content)


@asynccontextmanager
async def documented_relay(folder: Path, *, prepared: bool) -> AsyncIterator["DocumentedRelay"]:
    """Servers for the blocks of one page, in a scratch folder; `prepared`: a relay with CONFIGURATION runs."""
    async with AsyncExitStack() as stack:
        mailbox = await stack.enter_async_context(_Mailbox(folder / "mail"))
        names = await stack.enter_async_context(DnsServer(ZONE))
        relay = DocumentedRelay(folder, mailbox.port, names)
        stack.push_async_callback(relay.stop)
        if prepared:
            await relay.start()
        yield relay


class DocumentedRelay:
    """Runs blocks with a configuration, ports and paths of a test in place of those the page names."""

    def __init__(self, folder: Path, mailbox_port: int, names: DnsServer) -> None:
        self._home = folder / "home"
        self._zone = folder / "zone"
        self._names = names
        self._servers: list[asyncio.subprocess.Process] = []
        for name in ("home", "home/conf.d", "etc", "data", "bin"):
            (folder / name).mkdir(mode=0o700)
        _check_out(self._home)
        _install(folder / "bin" / "relay")
        ports = {port: str(free_port()) for port in ("2525", "8025", "8026", "9925")}
        self._places = {"/etc/relay": str(folder / "etc"), "/var/lib/relay": str(folder / "data"), **ports}
        self._places["2527"] = str(mailbox_port)
        self._config = folder / "etc" / "relay.toml"
        self._environment = {
            "HOME": str(self._home),
            "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RELAY_CONFIG": str(self._config),
            SERVER: fork_server(),
            "RELAY__DELIVERY__PORT": str(mailbox_port),
            "RELAY__DELIVERY__ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "RELAY__RESOLVER__NAMESERVERS": f'["127.0.0.1:{names.port}"]',
            "DOCS_MAIL": str(folder / "mail"),
            "DOCS_PORT": ports["2525"],
            "DOCS_ZONE": str(self._zone),
        }

        # Beside the configuration of a page: its listener is the default one, at another port.
        listener = '[[listener]]\nname = "submission"\naddress = "127.0.0.1:2525"\n'
        (self._home / "conf.d" / "listener.toml").write_text(self._here(listener), encoding="utf-8")

    async def start(self) -> None:
        """Start a relay with CONFIGURATION and a DKIM key that DNS shows."""
        self._config.write_text(self._here(CONFIGURATION), encoding="utf-8")
        await self._bash("relay dkim new example.com; relay domain records example.com --zone >> $DOCS_ZONE")
        await self._serve("relay serve")

    async def stop(self) -> None:
        """Kill all servers."""
        for server in self._servers:
            if server.returncode is None:
                os.killpg(server.pid, signal.SIGKILL)
                await server.wait()

    async def run(self, block: Block) -> None:
        """Run the block as its markers say; raise AssertionError when it does not do what the page shows."""
        if setup := block.markers.get("setup"):
            await self._check(setup, "0")
        expected = block.markers.get("exit", "0")
        if name := block.markers.get("file"):
            self._home.joinpath(name).write_text(self._here(block.text), encoding="utf-8")
        elif "serve" in block.markers:
            await self._serve(block.text)
        elif block.language == "python":
            self._home.joinpath("example.py").write_text(self._here(block.text), encoding="utf-8")
            await self._check("python3 -W error example.py", expected)
        elif block.language == "sh":
            await self._check(block.text, expected)
        elif block.language == "console":
            for step in steps_of(block.text):
                written = await self._check(step.command, expected)
                assert shows(step.output, written), f"{step.command}\nshown:\n{step.output}\nwritten:\n{written}"

    async def _check(self, script: str, expected: str) -> str:
        code, written = await self._bash(script)
        assert str(code) == expected, f"exit code {code}, not {expected}:\n{script}\n{written}"
        return written

    async def _bash(self, script: str) -> tuple[int, str]:
        """Run a script; return its exit code, and standard output and error as the page would show them."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", PRELUDE + self._here(script)),
            cwd=self._home,
            env=os.environ | self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            written, _ = await asyncio.wait_for(process.communicate(), BLOCK_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"no end after {BLOCK_SECONDS:g} seconds:\n{script}") from None
        self._publish()
        assert process.returncode is not None
        return process.returncode, self._there(written.decode())

    async def _serve(self, command: str) -> None:
        """Start a server and wait until its listeners are open."""
        log_file = self._home / f"server-{len(self._servers)}.log"
        with log_file.open("wb") as log:
            server = await asyncio.create_subprocess_exec(
                *("bash", "-c", f"exec {self._here(command).strip()}"),
                cwd=self._home,
                env=os.environ | self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._servers.append(server)
        async with asyncio.timeout(BLOCK_SECONDS):
            while b"server.started" not in log_file.read_bytes():
                assert server.returncode is None, f"{command} ended:\n{log_file.read_text()}"
                await asyncio.sleep(0.02)

    def _publish(self) -> None:
        """Have the name server answer with what a script wrote to the zone file."""
        if self._zone.exists():
            for line in self._zone.read_text(encoding="utf-8").splitlines():
                if not line.startswith(";"):
                    self._names.add(line.replace(" IN ", " ", 1))
            self._zone.unlink()

    def _here(self, text: str) -> str:
        return _replace(text, self._places)

    def _there(self, text: str) -> str:
        return _replace(text, {value: key for key, value in self._places.items()})


def _check_out(folder: Path) -> None:
    """Make the folder look like a checkout with an installed program, as after `make demo`."""
    for name in ("Makefile", "pyproject.toml", "setup.py", "README.md", "conf", "relay"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)


def _install(command: Path) -> None:
    """Make the command `relay`, which the fork server of this process runs."""
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -ISE {fork_client.__file__} "$@"\n', encoding="utf-8")
    command.chmod(0o700)


def _replace(text: str, places: dict[str, str]) -> str:
    pattern = "|".join(rf"(?<![\w]){re.escape(place)}(?!\w)" for place in places)
    return re.sub(pattern, lambda match: places[match[0]], text)
