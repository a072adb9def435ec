"""Builds the editor of the tables of the configuration: one for the whole process."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from relay.app.context import AppContext
from relay.app.local_nodes import LocalNodes
from relay.app.outbound_parts import OutboundParts
from relay.app.people import open_people
from relay.people.table_editor import TableEditor
from relay.storage.postgres.nodes import node_id


def open_table_editor(
    context: AppContext,
    outbound: OutboundParts,
    config: Path | None,
    reload: Callable[[], Awaitable[Mapping[str, object]]],
    local: LocalNodes | None,
) -> TableEditor:
    """Return the editor. `config` is None for a relay without a file. `reload` puts the files in force, also in the
    `local` nodes, which read the same files.
    """

    async def nodes() -> Sequence[str]:
        alive = [one for one in await context.store.nodes.states() if one.alive]
        if len(alive) < 2:
            return ()
        reached = await asyncio.to_thread(_ids, context.settings().server.data_dir, local)
        return [f"{one.hostname} ({one.id[:8]})" for one in alive if one.id not in reached]

    return TableEditor(
        config=config,
        environ=os.environ,
        reload=reload,
        unreached_nodes=nodes,
        audit=open_people(context, outbound).audit,
        key=lambda: outbound.signing.keyring().keys[0][1],
    )


def _ids(data_dir: Path, local: LocalNodes | None) -> frozenset[str]:
    """Return the ids of this node and of those that read the same files. Blocks."""
    return frozenset({node_id(data_dir)}) | (local.ids() if local else frozenset())
