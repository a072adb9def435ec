"""Writes webhooks into the configuration for the API: with its check, a reload, and a record in the audit."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from aiohttp import web

from relay.admin.webhook_tables import Unwritten, WebhookTable, WebhookTableRoutes
from relay.app.context import AppContext
from relay.app.outbound_side import OutboundSide
from relay.app.people import open_people
from relay.config.table_files import TableName
from relay.console.table_editor import Edit, Refused, Saved, Stale, TableEditor
from relay.people.audit import Audit
from relay.webhooks.control import WebhookControl

KIND = "webhook"


@dataclass(frozen=True, slots=True)
class WebhookTables:
    """Makes, changes and removes `[[webhook]]` in files of their own."""

    editor: TableEditor
    audit: Audit

    def routes(self, control: WebhookControl) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return WebhookTableRoutes(control, self.write).table()

    async def write(self, table: WebhookTable) -> Unwritten | None:
        """Write a webhook and put it in force; None if that is done. Raises StoreError."""
        name = TableName(KIND, (KIND, table.name), is_element=True)
        present = await self.editor.read(name)
        values = table.values
        if values is not None:
            kept = {key: one for key, one in present.secrets.items() if key.removesuffix("_file") not in table.secrets}
            values = {**values, **{key: one for key, one in kept.items() if key not in values}}
        action = f"{KIND}.{'remove' if values is None else 'change' if present.exists else 'new'}"
        outcome = await self.editor.change(Edit(name, values, present.version, action, table.secrets))
        match outcome:
            case Saved(before=before, after=after):
                person = f"key {table.author}" if table.author else "operator"
                await self.audit.note(
                    action, person=person, client=table.client, subject=table.name, before=before, after=after
                )
                return None
            case Refused(faults=faults, texts=texts):
                return Unwritten(tuple(texts) or tuple(map(str, faults)), is_input=bool(faults))
            case Stale():
                return Unwritten((f"{table.name} was changed meanwhile: try again",), is_input=False)
            case _:
                assert_never(outcome)


def open_webhook_tables(
    context: AppContext,
    outbound: OutboundSide,
    config: Path | None,
    reload: Callable[[], Awaitable[Mapping[str, object]]],
) -> WebhookTables:
    """Return the writer. `config` is None for a relay without a file."""

    async def nodes() -> int:
        return sum(one.alive for one in await context.store.nodes.states())

    audit = open_people(context, outbound).audit
    editor = TableEditor(
        config=config,
        environ=os.environ,
        reload=reload,
        nodes=nodes,
        audit=audit,
        key=lambda: outbound.signing.keyring().keys[0][1],
    )
    return WebhookTables(editor, audit)
