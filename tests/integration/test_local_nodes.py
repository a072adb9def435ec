"""The first of several nodes on one machine passes a reload on, whatever the others answer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from relay.app.local_nodes import LocalNodes


@asynccontextmanager
async def node(data_dir: Path, number: int, response: web.Response) -> AsyncIterator[None]:
    """Answer at the admin socket of a node."""

    async def reload(_: web.Request) -> web.Response:
        return response

    folder = data_dir / "nodes" / str(number)
    folder.mkdir(parents=True)
    application = web.Application()
    application.add_routes([web.post("/reload", reload)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "admin.sock")).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def test_faults_are_collected_and_an_answer_that_cannot_be_read_is_one(tmp_path: Path) -> None:
    answers = {
        2: web.json_response({"faults": ["relay.toml:3: unknown key"]}),
        3: web.json_response({}),
        4: web.Response(status=500, text="500 Internal Server Error"),
        5: web.Response(text="{", content_type="application/json"),
    }
    async with AsyncExitStack() as stack:
        for number, response in answers.items():
            await stack.enter_async_context(node(tmp_path, number, response))
        (tmp_path / "nodes" / "6").mkdir()
        (tmp_path / "nodes" / "6" / "admin.sock").touch()
        found = await LocalNodes(tmp_path, "admin.sock").reload()
    assert found[0] == "node 2: relay.toml:3: unknown key"
    assert [one.partition(":")[0] for one in found[1:]] == ["node 4", "node 5"]
    assert all("the answer cannot be read" in one for one in found[1:])
