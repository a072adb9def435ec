"""Debian's HAProxy on loopback: passes TCP connections on, with a header of the PROXY protocol."""

from collections.abc import Sequence
from pathlib import Path

from tests.servers.local_program import LocalProgram


class HAProxy(LocalProgram):
    """One instance that passes connections to `port` on to the `target` port. `send` is its keyword for the header."""

    def __init__(self, folder: Path, target: int, send: str) -> None:
        super().__init__("haproxy", folder)
        self._target, self._send = target, send

    def options(self) -> Sequence[str]:
        """Write its configuration and return its options."""
        text = f"""
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{self.port}
    default_backend relay
backend relay
    server relay 127.0.0.1:{self._target} {self._send}
"""
        return ["-db", "-f", self.written("haproxy.cfg", text)]
