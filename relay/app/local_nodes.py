"""The other nodes on this machine, which the first node reaches at their admin sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from relay.config.node_settings import NODES_FOLDER
from relay.config.settings import Settings
from relay.storage.postgres.nodes import NODE_FILE, node_id

T = TypeVar("T")

ANSWER_TIMEOUT = 30.0
"""Seconds for the answer of a node to a reload."""

STATE_TIMEOUT = 3.0
"""Seconds for the answer of a node about its state. Who asks waits no longer than that."""


class LocalNodes:
    """Reloads and asks the other nodes. One that is down is left out: it reads the configuration when it starts."""

    def __init__(self, data_dir: Path, socket: str) -> None:
        """`socket` is `admin.socket`, "" for none. Each of the nodes has one of that file name in its own folder."""
        self._data_dir = data_dir
        self._socket = Path(socket).name

    def ids(self) -> frozenset[str]:
        """Return the ids of the other nodes, which a reload reaches; none without admin sockets. Blocks."""
        if not self._socket:
            return frozenset()
        files = self._data_dir.glob(f"{NODES_FOLDER}/*/{NODE_FILE}")
        return frozenset(filter(None, (node_id(file.parent) for file in files)))

    async def reload(self) -> list[str]:
        """Reload the configuration of the other nodes; return the faults that they found."""
        answers = await self._ask_all(_reload)
        return [f"node {number}: {fault}" for number, answer in answers.items() for fault in answer.get("faults", ())]

    async def health(self) -> dict[str, str]:
        """Return the health of the other nodes that run, by number."""
        return await self._ask_all(_health)

    async def expositions(self) -> dict[str, str]:
        """Return the metrics of the other nodes that answer, by number."""
        return await self._ask_all(_metrics)

    async def _ask_all(self, ask: Callable[[Path], Awaitable[T | None]]) -> dict[str, T]:
        """Return the answers of all nodes by number, without those of which there is none."""
        sockets = sorted(self._data_dir.glob(f"{NODES_FOLDER}/*/{self._socket}"), key=lambda path: path.parent.name)
        answers = await asyncio.gather(*map(ask, sockets))
        found = zip((socket.parent.name for socket in sockets), answers, strict=True)
        return {number: answer for number, answer in found if answer is not None}


def local_nodes(settings: Settings, number: int) -> LocalNodes | None:
    """Return the nodes beside the first of several, None for any other node."""
    return LocalNodes(settings.server.data_dir, settings.admin.socket) if number == 1 else None


@asynccontextmanager
async def _answer(socket: Path, method: str, path: str, seconds: float) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
        session.request(method, f"http://relay{path}") as answer,
    ):
        yield answer


async def _reload(socket: Path) -> Mapping[str, tuple[str, ...]] | None:
    try:
        async with _answer(socket, "POST", "/reload", ANSWER_TIMEOUT) as answer:
            found: Mapping[str, tuple[str, ...]] = await answer.json()
            return found
    except TimeoutError:
        return {"faults": (f"no answer within {ANSWER_TIMEOUT:.0f} seconds",)}
    except (OSError, aiohttp.ClientConnectionError):
        return None
    except (aiohttp.ClientError, ValueError) as error:
        return {"faults": (f"the answer cannot be read: {error}",)}


async def _health(socket: Path) -> str | None:
    """Return "healthy", or what is wrong with a node; None if it does not run."""
    try:
        async with _answer(socket, "GET", "/status", STATE_TIMEOUT) as answer:
            state: Mapping[str, Any] = await answer.json()
            return health_text(state)
    except TimeoutError:
        return f"no answer within {STATE_TIMEOUT:.0f} seconds"
    except (OSError, aiohttp.ClientConnectionError):
        return None
    except (aiohttp.ClientError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"the answer cannot be read: {error}"


async def _metrics(socket: Path) -> str | None:
    try:
        async with _answer(socket, "GET", "/metrics", STATE_TIMEOUT) as answer:
            return await answer.text() if answer.ok else None
    except (TimeoutError, OSError, aiohttp.ClientError, ValueError):
        return None


HEALTHY = "healthy"


def health_text(state: Mapping[str, Any]) -> str:
    """Return "healthy", or the failing checks in the status of a node."""
    failing = ", ".join(name for name, passed in state["checks"].items() if not passed)
    return HEALTHY if state["healthy"] else f"failing: {failing or 'see its log'}"
