"""Debian's Dovecot on loopback: one mailbox over TLS, with folders and ports of its own."""

import asyncio
import os
import pwd
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import trustme
from imapclient import IMAPClient

from tests.ports import free_port
from tests.servers.waiting import PATIENCE

PROGRAM = Path("/usr/sbin/dovecot")

DOVEADM = Path("/usr/bin/doveadm")

USER, PASSWORD = "bounces@acme.test", "correct-horse"


def need_dovecot() -> None:
    """Skip the test unless there is a Dovecot that may be started."""
    if not (PROGRAM.exists() and Path("/usr/lib/dovecot/imap").exists()):
        pytest.skip("needs Debian's dovecot-imapd")
    if os.geteuid() != 0:
        pytest.skip("Dovecot starts only as root")


class Dovecot:
    """One instance with one account. `authority` is the PEM file of the authority that signed its certificate.

    Its folders lie directly below the system's temporary folder: its processes run as other users, who could not enter
    a test's own.
    """

    def __init__(self, capability: str = "", more: str = "") -> None:
        """`capability`: what it says it can do, in place of all.

        `more`: settings, with {mail} for the mail folder and {folder} for that of the server.
        """
        self.capability = capability
        self.more = more
        self.port = free_port()
        self.plain_port = free_port()

    async def __aenter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="relay-dovecot-"))
        self.authority = self._folder / "authority.pem"
        self._config = self._folder / "dovecot.conf"
        self._prepare(self._folder)
        self._process = await asyncio.create_subprocess_exec(PROGRAM, "-F", "-c", self._config)
        try:
            await self._listening()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), PATIENCE)
        shutil.rmtree(self._folder)

    @contextmanager
    def mailbox(self) -> Iterator[Any]:
        """Return a client that is logged in."""
        context = ssl.create_default_context(cafile=str(self.authority))
        with IMAPClient("localhost", self.port, ssl_context=context, timeout=20) as client:
            client.login(USER, PASSWORD)
            yield client

    def put(self, content: bytes, folder: str = "INBOX") -> None:
        """Put a mail into a folder, unread."""
        with self.mailbox() as client:
            client.append(folder, content)

    def flags(self, folder: str) -> dict[bytes, set[bytes]]:
        """Return the flags of the mails in a folder, by subject; \\Recent, which no client sets, left out."""
        field = b"BODY[HEADER.FIELDS (SUBJECT)]"
        with self.mailbox() as client:
            client.select_folder(folder, readonly=True)
            found = client.fetch(client.search("ALL"), ["FLAGS", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"])
        return {
            mail[field].strip().removeprefix(b"Subject: "): set(mail[b"FLAGS"]) - {rb"\Recent"}
            for mail in found.values()
        }

    def rights(self, line: str) -> None:
        """Set the rights of all folders, for the plugin acl."""
        (self._folder / "mail" / "acl-global").write_text(f"{line}\n")

    async def renumber(self, uidvalidity: int) -> None:
        """Give INBOX another UIDVALIDITY."""
        process = await asyncio.create_subprocess_exec(
            *(DOVEADM, "-c", self._config, "mailbox", "update", "-u", USER),
            *("--uid-validity", str(uidvalidity), "INBOX"),
        )
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0

    def _prepare(self, folder: Path) -> None:
        folder.chmod(0o755)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        made = authority.issue_cert("localhost")
        made.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        owner = pwd.getpwnam("nobody")
        mail = folder / "mail"
        mail.mkdir()
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        self._config.write_text(f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
{f"imap_capability = {self.capability}" if self.capability else ""}
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
mail_location = maildir:{mail}/Maildir
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={mail}
}}
service imap-login {{
  inet_listener imap {{
    port = {self.plain_port}
  }}
  inet_listener imaps {{
    port = {self.port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
{self.more.replace("{mail}", str(mail)).replace("{folder}", str(folder))}
""")
        self.rights("INBOX owner lrwstipekxa")

    async def _listening(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self._process.returncode is None, (self._folder / "dovecot.log").read_text()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return
