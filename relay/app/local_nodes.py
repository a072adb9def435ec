"""The other nodes on this machine (`relay serve --nodes`): the first node passes reloads on to their admin sockets."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from relay.config.node_settings import NODES_FOLDER

ANSWER_TIMEOUT = 30.0
"""Seconds for the answer of a node."""


class LocalNodes:
    """Reloads the other nodes. A node that is down is left out: it reads the configuration when it starts."""

    def __init__(self, data_dir: Path, socket: str) -> None:
        self._data_dir = data_dir
        self._socket = socket

    async def reload(self) -> list[str]:
        """Reload the configuration of the other nodes; return the faults that they found."""
        sockets = sorted(self._data_dir.glob(f"{NODES_FOLDER}/*/{self._socket}"))
        answers = await asyncio.gather(*map(_reload, sockets))
        return [
            f"node {socket.parent.name}: {fault}"
            for socket, answer in zip(sockets, answers, strict=True)
            for fault in answer.get("faults", ())
        ]


async def _reload(socket: Path) -> Mapping[str, tuple[str, ...]]:
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
            session.post("http://relay/reload") as answer,
        ):
            found: Mapping[str, tuple[str, ...]] = await answer.json()
            return found
    except TimeoutError:
        return {"faults": (f"no answer within {ANSWER_TIMEOUT:.0f} seconds",)}
    except (OSError, aiohttp.ClientConnectionError):
        return {}
    except (aiohttp.ClientError, ValueError) as error:
        return {"faults": (f"the answer cannot be read: {error}",)}
