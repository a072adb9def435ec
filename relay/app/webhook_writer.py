"""Writes webhooks into the configuration for the API: with its check, a reload, and a record in the audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from aiohttp import web

from relay.admin.webhook_changes import WebhookChange, WebhookChangeRoutes, WriteFailure, name_taken
from relay.admin.webhooks import are_own
from relay.config.table_files import Table, TableElsewhereError
from relay.config.table_names import webhook_table
from relay.config.webhooks import origin_of
from relay.people.table_editor import Edit, Refused, Saved, Stale, TableEditor
from relay.people.table_faults import visible_faults
from relay.webhooks.control import WebhookControl

KIND = "webhook"

_MOVED = "scheme, host or port of the URL change: give the password for them, or remove the webhook first"


@dataclass(frozen=True, slots=True)
class WebhookWriter:
    """Makes, changes and removes `[[webhook]]` in files of their own."""

    editor: TableEditor

    def routes(self, control: WebhookControl) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return WebhookChangeRoutes(control, self.write).table()

    async def write(self, table: WebhookChange) -> WriteFailure | None:
        """Write a webhook and put it in force; None if that is done. Raises StoreError."""
        name = webhook_table(table.name)
        present = await self.editor.read(name)
        owned = present.values.get("domains"), present.values.get("identities")
        if present.exists and not are_own(table.owns, *owned):  # The files may have what is not in force yet.
            return WriteFailure((name_taken(table.name),), is_input=False)
        values = table.values
        if values is not None:
            kept = _kept(present, table)
            if "password" in {key.removesuffix("_file") for key in kept} and _is_moved(present, values):
                return WriteFailure((_MOVED,), is_input=True)
            values = {**values, **kept}
        if present.elsewhere is not None:  # Before the faults of others, which a restricted key does not see.
            return WriteFailure((str(TableElsewhereError(name, present.elsewhere)),), is_input=False)
        if fault := await self.editor.fault():
            return WriteFailure((fault,), is_input=False)
        action = f"{KIND}.{'remove' if values is None else 'change' if present.exists else 'new'}"
        person = f"key {table.author}" if table.author else "operator"
        edit = Edit(name, values, present.version, action, table.secrets)
        outcome = await self.editor.save(edit, person=person, client=table.client)
        match outcome:
            case Saved():
                return None
            case Refused(faults=faults, texts=texts):
                if table.owns is not None:
                    faults, texts = visible_faults(present, faults, texts)
                return WriteFailure(tuple(texts) or tuple(map(str, faults)), is_input=bool(faults))
            case Stale():
                return WriteFailure((f"{table.name} was changed meanwhile: try again",), is_input=False)
            case _:
                assert_never(outcome)


def _kept(present: Table, table: WebhookChange) -> Mapping[str, object]:
    """Return the secrets of the files, and names of their files, in whose place nothing is given."""
    given = {*(table.values or ()), *table.secrets}
    return {key: one for key, one in present.secrets.items() if key.removesuffix("_file") not in given}


def _is_moved(present: Table, values: Mapping[str, object]) -> bool:
    """Whether posts would go to another origin than before, or to one that cannot be compared."""
    return origin_of(str(present.values.get("url", ""))) != origin_of(str(values.get("url", "")))
