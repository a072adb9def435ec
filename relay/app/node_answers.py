"""The answers of the first node for all nodes of this machine: reload, status and metrics."""

from collections.abc import Awaitable, Callable, Mapping

from relay.app.local_nodes import HEALTHY, LocalNodes, health_text
from relay.app.node_metrics import merged

FIRST = "1"
"""Number of the node that answers for all."""

Answer = Callable[[], Awaitable[Mapping[str, object]]]


class NodeAnswers:
    """Answers for this node, and for `others` if it is the first of several."""

    def __init__(self, others: LocalNodes | None, reload: Answer, status: Answer, metrics: Callable[[], bytes]) -> None:
        self._others = others
        self._reload = reload
        self._status = status
        self._metrics = metrics

    async def reload(self) -> Mapping[str, object]:
        """Reload all nodes. The others are asked only if this one has found no faults."""
        result = await self._reload()
        if self._others is None or result.get("faults"):
            return result
        faults = await self._others.reload()
        return {**result, "faults": faults} if faults else result

    async def status(self) -> Mapping[str, object]:
        """Return the status of this node, with the health of each node if several run."""
        state = await self._status()
        others = await self._others.health() if self._others is not None else {}
        if not others:
            return state
        nodes = {FIRST: health_text(state), **others}
        return {**state, "healthy": set(nodes.values()) == {HEALTHY}, "nodes": nodes}

    async def exposition(self) -> bytes:
        """Return the metrics; if several nodes run, those of all, each with the label `node`."""
        own = self._metrics()
        others = await self._others.expositions() if self._others is not None else {}
        return merged({FIRST: own.decode(), **others}) if others else own
