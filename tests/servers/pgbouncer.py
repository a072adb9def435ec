"""PgBouncer before a PostgreSQL server of the tests."""

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.postgres import PostgresServer

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class PgBouncer:
    """One running pooler. It refuses to run as root: then it runs as the user of the server."""

    def __init__(self, server: PostgresServer, mode: str, **options: str) -> None:
        assert PROGRAM is not None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        folder = server.folder / f"pgbouncer-{self.port}"
        folder.mkdir()
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "ignore_startup_parameters": "options",
        } | options
        ini = folder / "pgbouncer.ini"
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        ini.write_text(f"[databases]\npostgres = host={server.folder} user=relay dbname=postgres\n[pgbouncer]\n{lines}")
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(ini)], stderr=subprocess.DEVNULL, cwd="/", **_user(folder, ini)
        )

    @property
    def url(self) -> str:
        return f"postgresql://relay@127.0.0.1:{self.port}/postgres"

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def _user(*owned: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in owned:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
