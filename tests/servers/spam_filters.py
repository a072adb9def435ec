"""Debian's rspamd and spamd on loopback, each with a few rules of its own."""

import asyncio
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.ports import free_port
from tests.servers.waiting import PATIENCE

RSPAMD, SPAMD = Path("/usr/bin/rspamd"), Path("/usr/sbin/spamd")

SPAM_SUBJECT = "cheap pills"
"""A subject that both take for spam."""

_RSPAMD = """
options {{
  filters = "";
  tempdir = "{folder}/db";
  pidfile = "{folder}/db/pid";
  url_tld = "{folder}/tld";
  dns {{ nameserver = ["127.0.0.1:1"]; }}
}}
logging {{ type = "console"; level = "error"; }}
actions {{ reject = 15; add_header = 6; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
group "test" {{ symbols = {{ "PILLS" {{ score = 20.0; }} "LOGIN" {{ score = 0.5; }} }} }}
lua = "{folder}/rules.lua";
"""

_RULES = """
rspamd_config:register_symbol{name='PILLS', callback=function(task)
  return (task:get_subject() or ''):find('cheap pills') ~= nil, 1.0
end}
rspamd_config:register_symbol{name='LOGIN', callback=function(task)
  return task:get_user() ~= nil and task:get_rcpts(1)[1].addr:find('rcpt.test') ~= nil, 1.0
end}
"""

_SPAMASSASSIN = """
loadplugin Mail::SpamAssassin::Plugin::Check
required_score 5
use_bayes 0
header PILLS Subject =~ /cheap pills/
score PILLS 8.2
header TRACE Received =~ /relay/
score TRACE 0.4
"""


class SpamServer:
    """A filter in a process of its own. Its folder is one that its own user can enter."""

    program: Path
    package: str

    def __init__(self) -> None:
        if not self.program.exists():
            pytest.skip(f"needs Debian's {self.package}")
        if os.geteuid() != 0:
            pytest.skip(f"{self.package} changes its user, which takes root")
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None

    def command(self, folder: Path) -> list[str]:
        """Write the configuration and return the command that runs in the foreground."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="relay-spam-"))
        self._folder.chmod(0o755)
        self.process = await asyncio.create_subprocess_exec(
            *self.command(self._folder), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await self._listening(self.process)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        shutil.rmtree(self._folder)

    async def stop(self) -> None:
        """End the process, if it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), PATIENCE)

    async def _listening(self, process: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                assert process.returncode is None, f"{self.package} ended"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return


class Rspamd(SpamServer):
    """rspamd with the rules PILLS (20) and LOGIN (0.5, for authenticated clients that write to rcpt.test)."""

    program, package = RSPAMD, "rspamd"

    def command(self, folder: Path) -> list[str]:
        """Write the configuration and return the command that runs in the foreground."""
        owner = pwd.getpwnam("_rspamd")
        (folder / "db").mkdir()
        os.chown(folder / "db", owner.pw_uid, owner.pw_gid)
        (folder / "tld").write_text("test\n")
        (folder / "rules.lua").write_text(_RULES)
        (folder / "rspamd.conf").write_text(_RSPAMD.format(folder=folder, port=self.port))
        users = ("-u", "_rspamd", "-g", "_rspamd")
        return [str(self.program), "-f", "--insecure", "-c", str(folder / "rspamd.conf"), *users]


class Spamd(SpamServer):
    """spamd with the rules PILLS (8.2) and TRACE (0.4, for a Received field of relay)."""

    program, package = SPAMD, "spamd"

    def command(self, folder: Path) -> list[str]:
        """Write the configuration and return the command that runs in the foreground."""
        (folder / "rules.pre").write_text(_SPAMASSASSIN.splitlines()[1] + "\n")
        (folder / "rules.cf").write_text(_SPAMASSASSIN)
        rules = ("-C", str(folder), "--siteconfigpath", str(folder))
        listening = ("-i", "127.0.0.1", "-p", str(self.port))
        return [str(self.program), "-L", "-x", "-m", "1", "-u", "nobody", "-s", "null", *listening, *rules]
