"""Debian's Postfix on loopback: a whole instance with folders and ports of its own, and `smtp-sink`."""

import asyncio
import email
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import trustme

from tests.ports import free_port
from tests.servers.waiting import PATIENCE

SBIN = Path("/usr/sbin")

DAEMONS = Path("/usr/lib/postfix/sbin")

MAILBOX_OWNER = 65534
"""User and group id of "nobody", who gets the mail."""


def need_postfix() -> None:
    """Skip the test unless there is a Postfix that may be started."""
    if not (DAEMONS / "master").exists():
        pytest.skip("needs Debian's postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts only as root")


class Postfix:
    """One instance that takes everything for `domain` into a maildir and offers STARTTLS.

    Its folders lie directly below the system's temporary folder: its daemons run as another user, who could not enter
    a test's own. `canonical` are lines of a `canonical_maps` table of regular expressions.
    """

    def __init__(self, domain: str, canonical: str = "") -> None:
        self.domain = domain
        self._canonical = canonical
        self.port = free_port()

    async def __aenter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="relay-postfix-"))
        try:
            self._prepare(self._folder)
            await self._postfix("start")
            await self._listening()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._postfix("stop")
        shutil.rmtree(self._folder)

    async def received(self, count: int) -> list[Message]:
        """Return the messages in the mailbox once there are so many."""
        return [email.message_from_bytes(content) for content in await self.contents(count)]

    async def contents(self, count: int) -> list[bytes]:
        """Return the octets of the messages in the mailbox, with the line ends of SMTP, once there are so many."""
        try:
            async with asyncio.timeout(PATIENCE):
                while len(files := sorted((self._folder / "mail").glob("box/new/*"))) < count:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"no mail came:\n{(self._folder / 'maillog').read_text()}") from None
        return [file.read_bytes().replace(b"\n", b"\r\n") for file in files]

    def _prepare(self, folder: Path) -> None:
        folder.chmod(0o755)
        for name in ("conf", "queue", "data", "mail"):
            (folder / name).mkdir()
        shutil.chown(folder / "data", "postfix")
        os.chown(folder / "mail", MAILBOX_OWNER, MAILBOX_OWNER)
        certificate = trustme.CA().issue_cert("mx.rcpt.test")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "conf" / "tls.pem"))
        (folder / "conf" / "canonical").write_text(self._canonical)
        (folder / "conf" / "main.cf").write_text(self._main(folder))
        (folder / "conf" / "master.cf").write_text(self._master())

    def _main(self, folder: Path) -> str:
        return f"""
compatibility_level = 3.6
myhostname = mx.rcpt.test
mydestination =
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {SBIN}
daemon_directory = {DAEMONS}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/conf/tls.pem
smtpd_tls_received_header = yes
virtual_mailbox_domains = {self.domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box/
virtual_minimum_uid = 1000
virtual_uid_maps = static:{MAILBOX_OWNER}
virtual_gid_maps = static:{MAILBOX_OWNER}
canonical_maps = regexp:{folder}/conf/canonical
canonical_classes = header_sender
local_header_rewrite_clients = static:all
"""

    def _master(self) -> str:
        services = [f"127.0.0.1:{self.port} inet n - n - - smtpd"]
        services += ["cleanup unix n - n - 0 cleanup"]
        services += ["qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite"]
        services += [f"{name} unix - - n - 0 bounce" for name in ("bounce", "defer", "trace")]
        services += ["tlsmgr unix - - n 1000? 1 tlsmgr", "virtual unix - n n - - virtual"]
        services += ["proxymap unix - - n - - proxymap", "anvil unix - - n - 1 anvil", "error unix - - n - - error"]
        services += ["postlog unix-dgram n - n - 1 postlogd"]
        return "\n".join([*services, ""])

    async def _postfix(self, command: str) -> None:
        process = await asyncio.create_subprocess_exec(
            str(SBIN / "postfix"),
            "-c",
            str(self._folder / "conf"),
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, said.decode()

    async def _listening(self) -> None:
        await _connectable(self.port)


@asynccontextmanager
async def smtp_sink(folder: Path) -> AsyncIterator[int]:
    """Run Postfix's `smtp-sink`, which keeps each message as a file in the folder; yield its port."""
    program = SBIN / "smtp-sink"
    if not program.exists():
        pytest.skip("needs Debian's postfix for smtp-sink")
    port, me = free_port(), pwd.getpwuid(os.geteuid()).pw_name
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        str(program), "-u", me, "-d", f"{folder}/%M%S.", f"127.0.0.1:{port}", "100"
    )
    try:
        await _connectable(port)
        yield port
    finally:
        process.kill()
        await process.wait()


async def _connectable(port: int) -> None:
    """Wait until something listens."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return
