"""nginx, Caddy and Traefik on loopback, with the configuration that docs/proxies.md shows."""

from collections.abc import Sequence
from pathlib import Path

from tests.documentation import blocks_of, text_of
from tests.servers.local_program import LocalProgram

TRAEFIK = """
global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints: {websecure: {address: "127.0.0.1:%d"}}
providers: {file: {filename: %s}}
log: {level: WARN}
"""


class HttpProxy(LocalProgram):
    """A proxy in front of a tracker at `target`: `port` has TLS with the certificate and key of two files."""

    def __init__(self, name: str, folder: Path, target: int, certificate: Path, key: Path) -> None:
        super().__init__(name, folder)
        self._certificate, self._key = certificate, key
        (page,) = [block.text for block in blocks_of(text_of("docs/proxies.md")) if self._is_of(block.text)]
        assert "127.0.0.1:8025" in page
        self._page = page.replace("127.0.0.1:8025", f"127.0.0.1:{target}")

    def _is_of(self, text: str) -> bool:
        beginnings = {"nginx": "server {", "caddy": "t.example.com {", "traefik": "http:\n"}
        return text.startswith(beginnings[self.name])

    def options(self) -> Sequence[str]:
        """Write the files, with the port and certificate of the test; return the options of the program."""
        match self.name:
            case "nginx":
                page = self._changed("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;")
                page = page.replace("    listen [::]:443 ssl;\n", "")
                page = page.replace("/etc/ssl/t.example.com.pem", str(self._certificate))
                page = page.replace("/etc/ssl/t.example.com.key", str(self._key))
                places = "".join(
                    f"{one}_temp_path {self.folder / one};\n"
                    for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
                )
                head = f"daemon off; error_log stderr; pid {self.folder / 'pid'};\nevents {{}}\n"
                whole = f"{head}http {{\n{places}{page}}}\n"
                return ["-e", "stderr", "-c", self.written("nginx.conf", whole)]
            case "caddy":
                site = f"https://t.example.com:{self.port} {{"
                head = f"{{\n    admin off\n    auto_https off\n    default_bind 127.0.0.1\n}}\n{site}"
                page = self._changed("t.example.com {", f"{head}\n    tls {self._certificate} {self._key}")
                return ["run", "--adapter", "caddyfile", "--config", self.written("Caddyfile", page)]
            case _:
                page = self._changed("      tls:\n        certResolver: letsencrypt\n", "      tls: {}\n")
                stores = f"tls:\n  certificates:\n    - {{certFile: {self._certificate}, keyFile: {self._key}}}\n"
                dynamic = self.written("dynamic.yaml", f"{page}{stores}")
                return [f"--configFile={self.written('traefik.yaml', TRAEFIK % (self.port, dynamic))}"]

    def _changed(self, old: str, new: str) -> str:
        assert old in self._page, f"docs/proxies.md has no {old!r} for {self.name}"
        return self._page.replace(old, new, 1)
