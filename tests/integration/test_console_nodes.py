"""Settings on the console with several nodes: those of one machine get each change, others are named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from relay.app.data_dir import prepare_node_dir
from relay.app.relay import App
from relay.app.reloader import Reloader
from relay.config import load
from relay.domains.key_files import load_keys
from relay.log import unlogged
from tests.integration.test_console_tables import edited
from tests.integration.test_nodes_of_one_machine import alive
from tests.integration.test_relay_postgres import storage
from tests.ports import free_port
from tests.servers.login_console import LoginRelay, person
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

IDENTITY = '[domains."acme.test"]\n[identities."hand@acme.test"]\n'


class Nodes(LoginRelay):
    """A relay of two nodes, which have their configuration from the same files."""

    options = ("--nodes", "2")


async def identities_of(socket: Path) -> dict[str, Any]:
    """Return the identities that the node with this admin socket has in force, by address."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as client,
        client.get("http://relay/identities") as answer,
    ):
        return {one["address"]: one for one in (await answer.json())["identities"]}


async def answers(socket: Path) -> bool:
    """Whether a node answers at its admin socket: from then on reloads reach it."""
    try:
        return bool(await identities_of(socket))
    except (OSError, aiohttp.ClientError):
        return False


async def test_a_change_is_in_force_on_all_nodes_of_the_machine(postgres: str, tmp_path: Path) -> None:
    more = f'{IDENTITY}[api]\naddress = "127.0.0.1:{free_port()}"\n{storage(postgres)}'
    async with Sink() as sink, Nodes(tmp_path, sink, more) as relay:
        second = tmp_path / "data" / "nodes" / "2" / "admin.sock"
        # The second node starts when the first one is ready, as a process of its own.
        async with asyncio.timeout(3 * PATIENCE):
            while not await answers(second):
                await asyncio.sleep(0.1)
        await alive(relay, 2)
        async with person(relay, "olga@acme.test") as olga:
            await edited(olga, "/identities/new", address="jane@acme.test", display_name="Jane", daily_limit="120")
            assert olga.path == "/identities/jane@acme.test?saved=1", olga.page
            assert (await identities_of(second))["jane@acme.test"]["daily_limit"] == 120
            await edited(olga, "/identities/jane@acme.test/edit", daily_limit="90")
            assert (await identities_of(second))["jane@acme.test"]["daily_limit"] == 90
            await olga.post("/identities/jane@acme.test/actions", {"action": "remove"})
            await olga.post(olga.path)
            assert "jane@acme.test is removed." in olga.page
            assert list(await identities_of(second)) == ["hand@acme.test"]


class First(LoginRelay):
    """The first of several nodes, without the others."""

    options = ("--node", "1")


@asynccontextmanager
async def other_node(data_dir: Path, answer: dict[str, list[str]], file: Path = Path()) -> AsyncIterator[list[bool]]:
    """Answer for node 2; yield, for each reload that was asked for, whether the file was there."""
    reloads: list[bool] = []

    async def reload(_: web.Request) -> web.Response:
        reloads.append(file.exists())
        return web.json_response(answer)

    folder = data_dir / "nodes" / "2"
    folder.mkdir(parents=True)
    app = web.Application()
    app.router.add_post("/reload", reload)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(folder / "admin.sock")).start()
        yield reloads
    finally:
        await runner.cleanup()


async def test_a_change_that_another_node_refuses_is_undone(postgres: str, tmp_path: Path) -> None:
    file = tmp_path / "conf.d" / "identity-jane@acme.test.toml"
    async with Sink() as sink, First(tmp_path, sink, IDENTITY + storage(postgres)) as relay:
        async with (
            other_node(tmp_path / "data", {"faults": ["its key cannot be read"]}, file) as reloads,
            person(relay, "olga@acme.test") as olga,
        ):
            await edited(olga, "/identities/new", address="jane@acme.test")
            assert (olga.status, "node 2: its key cannot be read" in olga.page) == (400, True), olga.page
        # It was reloaded with the change, and again without it.
        assert reloads == [True, False]
        assert [row["address"] for row in await relay.json("identity", "list")] == ["hand@acme.test"]


async def test_a_node_has_what_was_changed_while_it_started(postgres: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with Sink() as sink:
        relay = Nodes(tmp_path, sink, IDENTITY + storage(postgres))
        settings = load(relay.config, {})
        prepare_node_dir(settings.server, 2)
        load_keys(settings, unlogged)  # As the first node does, which starts before.
        node = App(settings, relay.config, node=2)
        with relay.config.open("a") as file:
            file.write('[identities."jane@acme.test"]\n')
        await node.start()
        try:
            assert "jane@acme.test" in node.settings().identities
        finally:
            await node.stop()


async def test_the_first_node_makes_the_others_reload_when_it_starts(postgres: str, tmp_path: Path) -> None:
    """It may have ended between a change and the reload of the others."""
    async with (
        Sink() as sink,
        other_node(tmp_path / "data", {}) as reloads,
        First(tmp_path, sink, IDENTITY + storage(postgres)),
    ):
        assert len(reloads) == 1


async def test_a_signal_while_a_node_catches_up_ends_it_in_order(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    reached = asyncio.Event()

    async def wait(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Reloader, "catch_up", wait)
    async with Sink() as sink:
        relay = Nodes(tmp_path, sink, IDENTITY + storage(postgres))
        settings = load(relay.config, {})
        node = App(settings, relay.config, node=1)
        starting = asyncio.create_task(node.start())
        await reached.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", relay.port)


async def test_nodes_with_files_of_their_own_are_named_and_nothing_is_changed(postgres: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    more = IDENTITY + storage(postgres)
    async with Sink() as sink, LoginRelay(first, sink, more) as one, LoginRelay(second, sink, more) as other:
        await alive(one, 2)
        id_of_other = (second / "data" / "node").read_text()[:8]
        async with person(one, "olga@acme.test") as olga:
            for path in ("/identities/new", "/domains/new", "/domains/acme.test/edit"):
                page = await olga.get(path)
                assert id_of_other in page, path
                assert "No file was changed." in page
                assert f"{first / 'conf.d'} here and on each of them" in page
            await edited(olga, "/identities/new", address="jane@acme.test")
            assert (olga.status, id_of_other in olga.page) == (400, True), olga.page
            assert not [*first.glob("conf.d/*"), *second.glob("conf.d/*")]

            # As the page says: the same file on each node, and a reload.
            for relay in (one, other):
                await relay.run("identity", "add", "jane@acme.test", "--daily-limit", "120", "--reload")
                assert "jane@acme.test" in {row["address"] for row in await relay.json("identity", "list")}

            await other.stop()
            async with asyncio.timeout(PATIENCE):
                while id_of_other in await olga.get("/identities/jane@acme.test/edit"):
                    await asyncio.sleep(0.2)
            await edited(olga, "/identities/jane@acme.test/edit", daily_limit="90")
            assert olga.path == "/identities/jane@acme.test?saved=1", olga.page
