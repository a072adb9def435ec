"""Builds the editor of the tables of the configuration: one for the whole process."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from relay.app.context import AppContext
from relay.app.outbound_parts import OutboundParts
from relay.app.people import open_people
from relay.people.table_editor import TableEditor


def open_table_editor(
    context: AppContext,
    outbound: OutboundParts,
    config: Path | None,
    reload: Callable[[], Awaitable[Mapping[str, object]]],
) -> TableEditor:
    """Return the editor. `config` is None for a relay without a file; `reload` puts the files in force."""

    async def nodes() -> int:
        return sum(one.alive for one in await context.store.nodes.states())

    return TableEditor(
        config=config,
        environ=os.environ,
        reload=reload,
        nodes=nodes,
        audit=open_people(context, outbound).audit,
        key=lambda: outbound.signing.keyring().keys[0][1],
    )
