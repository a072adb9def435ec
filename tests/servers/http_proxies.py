"""nginx, Caddy and Traefik on loopback, with the configuration that docs/proxies.md shows."""

import asyncio
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.documentation import ROOT, blocks_of, text_of
from tests.ports import free_port
from tests.servers.waiting import until

PATH = f"/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:{ROOT / '.venv-packages' / 'bin'}"

TRAEFIK = """
global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints: {websecure: {address: "127.0.0.1:%d"}}
providers: {file: {filename: %s}}
log: {level: WARN}
"""


class HttpProxy:
    """A proxy in front of a tracker at `target`: `port` has TLS with the certificate and key of two files."""

    def __init__(self, name: str, folder: Path, target: int, certificate: Path, key: Path) -> None:
        self.name = name
        self.port = free_port()
        self._folder = folder
        self._certificate, self._key = certificate, key
        (page,) = [block.text for block in blocks_of(text_of("docs/proxies.md")) if self._is_of(block.text)]
        assert "127.0.0.1:8025" in page
        self._page = page.replace("127.0.0.1:8025", f"127.0.0.1:{target}")

    def _is_of(self, text: str) -> bool:
        beginnings = {"nginx": "server {", "caddy": "t.example.com {", "traefik": "http:\n"}
        return text.startswith(beginnings[self.name])

    def _command(self) -> list[str]:
        """Write the files, with the port and certificate of the test; return the options of the program."""
        match self.name:
            case "nginx":
                page = self._changed("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;")
                page = page.replace("    listen [::]:443 ssl;\n", "")
                page = page.replace("/etc/ssl/t.example.com.pem", str(self._certificate))
                page = page.replace("/etc/ssl/t.example.com.key", str(self._key))
                places = "".join(
                    f"{one}_temp_path {self._folder / one};\n"
                    for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
                )
                head = f"daemon off; error_log stderr; pid {self._folder / 'pid'};\nevents {{}}\n"
                whole = f"{head}http {{\n{places}{page}}}\n"
                return ["-e", "stderr", "-c", self._written("nginx.conf", whole)]
            case "caddy":
                site = f"https://t.example.com:{self.port} {{"
                head = f"{{\n    admin off\n    auto_https off\n    default_bind 127.0.0.1\n}}\n{site}"
                page = self._changed("t.example.com {", f"{head}\n    tls {self._certificate} {self._key}")
                return ["run", "--adapter", "caddyfile", "--config", self._written("Caddyfile", page)]
            case _:
                page = self._changed("      tls:\n        certResolver: letsencrypt\n", "      tls: {}\n")
                stores = f"tls:\n  certificates:\n    - {{certFile: {self._certificate}, keyFile: {self._key}}}\n"
                dynamic = self._written("dynamic.yaml", f"{page}{stores}")
                return [f"--configFile={self._written('traefik.yaml', TRAEFIK % (self.port, dynamic))}"]

    def _changed(self, old: str, new: str) -> str:
        assert old in self._page, f"docs/proxies.md has no {old!r} for {self.name}"
        return self._page.replace(old, new, 1)

    def _written(self, name: str, text: str) -> str:
        file = self._folder / name
        file.write_text(text, encoding="utf-8")
        return str(file)

    async def __aenter__(self) -> Self:
        program = shutil.which(self.name, path=PATH)
        if program is None:
            pytest.skip(f"needs {self.name}")
        environment = {"HOME": str(self._folder), "PATH": os.environ["PATH"]}
        self._process = await asyncio.create_subprocess_exec(program, *self._command(), env=environment)
        await until(self._is_listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        await self._process.wait()

    def _is_listening(self) -> bool:
        assert self._process.returncode is None, f"{self.name} has ended"
        tables = "".join(Path(f"/proc/net/{one}").read_text(encoding="ascii") for one in ("tcp", "tcp6"))
        return any(f":{self.port:04X} " in line and " 0A " in line for line in tables.splitlines())
