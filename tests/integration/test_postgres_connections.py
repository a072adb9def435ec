"""What lies between a relay and its PostgreSQL: poolers, passwords that change, and clocks that disagree."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from relay.events.ports import StoreError
from relay.storage.errors import SchemaError
from relay.storage.postgres import schema
from relay.storage.postgres.check import check_database
from relay.storage.postgres.connection import Target, connect, parameters
from relay.storage.postgres.pooler_check import refuse_transaction_pooler
from relay.storage.postgres.store import PostgresStore
from tests.contract.values import NOW
from tests.servers.pgbouncer import PROGRAM, PgBouncer
from tests.servers.postgres import PostgresServer
from tests.servers.sharing_pooler import RULES, SharingPooler
from tests.servers.waiting import until


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    one = PostgresServer()
    yield one
    one.close()


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize(
    ("mode", "options", "refusal"),
    [
        ("session", {}, ""),
        ("transaction", {}, "a pooler in transaction mode; name the server itself"),
        ("transaction", {"server_round_robin": "1"}, "a pooler in transaction mode"),
        ("transaction", {"default_pool_size": "1"}, "did not answer within 2 seconds"),
        ("statement", {}, "a pooler in statement mode"),
    ],
)
async def test_a_pooler_that_shares_its_connections_is_refused(
    server: PostgresServer, mode: str, options: dict[str, str], refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.storage.postgres.pooler_check.TIMEOUT", 2.0)
    with PgBouncer(server, mode, **options) as pooler:
        await until(pooler.answers)
        if not refusal:
            await refuse_transaction_pooler(Target(pooler.url))
            return
        with pytest.raises(SchemaError, match=rf"^storage\.url: .*{refusal}"):
            await refuse_transaction_pooler(Target(pooler.url))


@pytest.mark.parametrize("rule", RULES)
async def test_a_pooler_that_passes_on_the_process_of_the_server_is_refused_too(
    server: PostgresServer, rule: str
) -> None:
    async with SharingPooler(f"{server.folder}/.s.PGSQL.5432", rule) as pooler:
        target = Target(f"postgresql://relay@127.0.0.1:{pooler.port}/postgres")
        with pytest.raises(SchemaError, match=r"^storage\.url: a pooler in transaction mode"):
            await refuse_transaction_pooler(target)


async def test_a_password_that_changed_is_read_anew(server: PostgresServer, tmp_path: Path) -> None:
    hba = server.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(server.url, autocommit=True) as raw:
        raw.execute("CREATE ROLE owner SUPERUSER LOGIN PASSWORD 'first'")
        hba.write_text(f"local all owner scram-sha-256\n{before}")
        raw.execute("SELECT pg_reload_conf()")

        passwords = ["first"]
        url = server.url.replace("relay@", "owner@")
        store = await PostgresStore.open(url, tmp_path, now=NOW, password="first", read_password=lambda: passwords[0])
        try:
            passwords[0] = "second"
            raw.execute("ALTER ROLE owner PASSWORD 'second'")
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)

            async def works() -> bool:
                try:
                    await store.check()
                except Exception:
                    return False
                return store._heartbeat.lease_valid

            deadline = time.monotonic() + 20
            while not await works():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            with connect(Target(url, "wrong", lambda: "second")) as again:
                assert again.execute("SELECT current_user").fetchone() == ("owner",)
            with pytest.raises(psycopg.OperationalError, match="password"):
                connect(Target(url, "wrong", lambda: "wrong"))
        finally:
            await store.close()


async def test_a_node_whose_clock_is_wrong_is_reported_and_delivers_nothing(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.storage.postgres.heartbeat.HEARTBEAT", 0.1)
    monkeypatch.setattr("relay.storage.postgres.nodes.KNOWN", 0.0)
    offset = 300.0
    lines: list[tuple[str, dict[str, object]]] = []
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    first = await PostgresStore.open(server.url, right, now=NOW)
    second = await PostgresStore.open(
        server.url,
        wrong,
        now=NOW,
        clock=lambda: time.time() + offset,
        log=lambda line, **fields: lines.append((line, fields)) if line.startswith("node.clock") else None,
    )
    try:
        await until(lambda: list(first.nodes.live) == [first.nodes.id])
        await until(lambda: first.nodes.share.nodes == 1)
        assert second.nodes.share.of("mx:x.test", 4) == 0
        assert [(line, fields["delivers"]) for line, fields in lines] == [("node.clock", False)]
        assert lines[0][1]["ahead"] == pytest.approx(300, abs=1)
        ahead = {one.id: one.clock_ahead for one in await first.nodes.states()}
        assert ahead[second.nodes.id] == pytest.approx(300, abs=1)
        assert abs(ahead[first.nodes.id]) < 1

        offset = 0.0
        await until(lambda: len(first.nodes.live) == 2)
        await until(lambda: second.nodes.share.nodes == 2)
        assert lines[-1][0] == "node.clock_corrected"
    finally:
        await second.close()
        await first.close()


async def test_a_connection_to_a_server_that_became_read_only_is_left(server: PostgresServer, tmp_path: Path) -> None:
    store = await PostgresStore.open(server.url, tmp_path, now=NOW)
    try:
        read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
        await store._link.run(lambda session: session.execute(read_only))
        with pytest.raises(StoreError, match="read-only transaction"):
            await store.database.write(lambda raw: raw.execute("UPDATE nodes SET hostname = hostname"))
        await store.database.write(lambda raw: raw.execute("UPDATE nodes SET hostname = hostname"))
    finally:
        await store.close()


def test_of_several_hosts_the_one_that_can_write_is_used() -> None:
    assert parameters("postgresql://u@a,b/d")["target_session_attrs"] == "read-write"
    assert parameters("postgresql://u@a,b/d?target_session_attrs=any")["target_session_attrs"] == "any"
    assert "target_session_attrs" not in parameters("postgresql://u@a/d")


async def test_a_database_that_the_start_can_use_passes_the_check_and_stays_as_it_was(postgres: str) -> None:
    await check_database(Target(postgres))
    with psycopg.connect(postgres) as raw:
        assert raw.execute("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").fetchone() == (0,)

    await asyncio.to_thread(schema.prepare, Target(postgres))
    await check_database(Target(postgres))


@pytest.mark.parametrize(
    ("spoil", "options", "fault"),
    [
        ("INSERT INTO relay_schema VALUES (9999, now())", "", "schema 9999 of the database is newer than this program"),
        ("CREATE TABLE relay_transfer AS SELECT false AS done", "", "a SQLite database was copied in part"),
        ("", "-c default_transaction_read_only=on", "the database is read-only"),
        ("", "-c search_path=nowhere", "no schema of the search_path exists"),
        (
            "DROP TABLE relay_schema; CREATE ROLE {schema}_guest LOGIN; "
            "GRANT USAGE ON SCHEMA {schema} TO {schema}_guest",
            "",
            'user "{schema}_guest" may not create tables in schema "{schema}"; GRANT CREATE ON SCHEMA "{schema}" TO ',
        ),
    ],
)
async def test_a_database_that_the_start_cannot_use_is_reported(
    postgres: str, spoil: str, options: str, fault: str
) -> None:
    await asyncio.to_thread(schema.prepare, Target(postgres))
    with psycopg.connect(postgres, autocommit=True) as raw:
        (name,) = raw.execute("SELECT current_schema()").fetchone() or ("",)
        if spoil:
            raw.execute(spoil.format(schema=name).encode())
    given = conninfo_to_dict(postgres)
    user = f"{name}_guest" if "guest" in spoil else given["user"]
    url = make_conninfo(postgres, user=user, options=options or given["options"])
    try:
        with pytest.raises(SchemaError, match=f"^storage.url: {re.escape(fault.format(schema=name))}"):
            await check_database(Target(url))
    finally:
        if "guest" in spoil:
            with psycopg.connect(postgres, autocommit=True) as raw:
                raw.execute(f"DROP OWNED BY {user}; DROP ROLE {user}".encode())
