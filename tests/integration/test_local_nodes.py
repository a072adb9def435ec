"""The first of several nodes on one machine reloads all, and answers for all, whatever the others answer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from relay.app.local_nodes import LocalNodes
from relay.app.node_answers import NodeAnswers
from relay.metrics import Metrics


@asynccontextmanager
async def node(data_dir: Path, number: int, response: web.Response, path: str = "/reload") -> AsyncIterator[None]:
    """Answer at the admin socket of a node."""

    async def answer(_: web.Request) -> web.Response:
        return response

    folder = data_dir / "nodes" / str(number)
    folder.mkdir(parents=True)
    application = web.Application()
    application.add_routes([web.route("*", path, answer)])
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


async def test_the_others_have_sockets_of_the_same_name_wherever_that_of_the_first_is(tmp_path: Path) -> None:
    for number, socket in enumerate(("admin.sock", str(tmp_path / "run" / "admin.sock"), "run/admin.sock")):
        folder = tmp_path / str(number)
        async with node(folder, 2, web.json_response({"faults": ["no"]})):
            assert await LocalNodes(folder, socket).reload() == ["node 2: no"]


async def nothing() -> dict[str, object]:
    return {}


def answers(data_dir: Path, state: dict[str, object] | None = None, metrics: Metrics | None = None) -> NodeAnswers:
    """Return the answers of the first node, whose own state and metrics are these."""

    async def status() -> dict[str, object]:
        return state or {"healthy": True, "checks": {"store": True}}

    return NodeAnswers(LocalNodes(data_dir, "admin.sock"), nothing, status, (metrics or Metrics()).exposition)


async def test_the_status_has_the_health_of_each_node_that_runs(tmp_path: Path) -> None:
    states = {
        2: web.json_response({"healthy": True, "checks": {"store": True, "tracking": False}}),
        3: web.json_response({"healthy": False, "checks": {"store": False}}),
        4: web.json_response([]),
    }
    async with AsyncExitStack() as stack:
        for number, response in states.items():
            await stack.enter_async_context(node(tmp_path, number, response, "/status"))
        found = await answers(tmp_path).status()
    assert not found["healthy"]
    nodes = found["nodes"]
    assert isinstance(nodes, dict)
    assert "cannot be read" in nodes.pop("4")
    assert nodes == {"1": "healthy", "2": "healthy", "3": "failing: store"}


async def test_a_node_that_is_alone_answers_for_itself(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.count("delivered", 3)
    assert "nodes" not in await answers(tmp_path).status()
    lines = (await answers(tmp_path, metrics=metrics).exposition()).decode().splitlines()
    assert 'relay_events_total{kind="delivered"} 3.0' in lines
    assert not any('node="' in line for line in lines)


async def test_the_metrics_of_all_nodes_have_their_number(tmp_path: Path) -> None:
    own, other = Metrics(), Metrics()
    own.count("delivered", 3)
    other.count("delivered", 4)
    other.delay.observe(0.2)
    response = web.Response(body=other.exposition(), content_type="text/plain", charset="utf-8")
    async with node(tmp_path, 2, response, "/metrics"):
        lines = (await answers(tmp_path, metrics=own).exposition()).decode().splitlines()
    assert 'relay_events_total{kind="delivered",node="1"} 3.0' in lines
    assert 'relay_events_total{kind="delivered",node="2"} 4.0' in lines
    assert 'relay_delivery_delay_seconds_bucket{le="0.5",node="2"} 1.0' in lines
    assert len([line for line in lines if line.startswith("# TYPE relay_events_total ")]) == 1
