"""Debian's HAProxy on loopback: passes TCP connections on, with a header of the PROXY protocol."""

import asyncio
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.ports import free_port
from tests.servers.waiting import until


class HAProxy:
    """One instance that passes connections to `port` on to the `target` port. `send` is its keyword for the header."""

    def __init__(self, folder: Path, target: int, send: str) -> None:
        self.port = free_port()
        self._config = folder / "haproxy.cfg"
        self._config.write_text(
            f"""
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{self.port}
    default_backend relay
backend relay
    server relay 127.0.0.1:{target} {send}
""",
            encoding="utf-8",
        )

    async def __aenter__(self) -> Self:
        program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            pytest.skip("needs HAProxy (apt-get install haproxy)")
        self._process = await asyncio.create_subprocess_exec(program, "-db", "-f", self._config)
        await until(self._is_listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        await self._process.wait()

    def _is_listening(self) -> bool:
        assert self._process.returncode is None, "HAProxy has ended"
        listening = Path("/proc/net/tcp").read_text(encoding="ascii")
        return f":{self.port:04X} 00000000:0000 0A" in listening
