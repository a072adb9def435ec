"""Writes webhooks into the configuration for the API: with its check, a reload, and a record in the audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from aiohttp import web

from relay.admin.webhook_tables import Unwritten, WebhookTable, WebhookTableRoutes
from relay.config.table_files import TableName
from relay.people.table_editor import Edit, Refused, Saved, Stale, TableEditor
from relay.webhooks.control import WebhookControl

KIND = "webhook"


@dataclass(frozen=True, slots=True)
class WebhookTables:
    """Makes, changes and removes `[[webhook]]` in files of their own."""

    editor: TableEditor

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
        person = f"key {table.author}" if table.author else "operator"
        edit = Edit(name, values, present.version, action, table.secrets)
        outcome = await self.editor.save(edit, person=person, client=table.client)
        match outcome:
            case Saved():
                return None
            case Refused(faults=faults, texts=texts):
                return Unwritten(tuple(texts) or tuple(map(str, faults)), is_input=bool(faults))
            case Stale():
                return Unwritten((f"{table.name} was changed meanwhile: try again",), is_input=False)
            case _:
                assert_never(outcome)
