"""Settings on the console with several nodes: the others are named, with what to do."""

import asyncio
from pathlib import Path

from tests.integration.test_console_tables import edited
from tests.integration.test_nodes_of_one_machine import alive
from tests.integration.test_relay_postgres import storage
from tests.servers.login_console import LoginRelay, person
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

IDENTITY = '[domains."acme.test"]\n[identities."hand@acme.test"]\n'


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
