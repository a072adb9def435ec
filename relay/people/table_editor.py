"""Changes tables of the configuration of the running server: file, reload, and a record of who changed what."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from relay.config import ConfigError, Fault
from relay.config.schema import fields_of, keys_from_file
from relay.config.show import toml_value
from relay.config.table_files import (
    StaleTableError,
    Table,
    TableChange,
    TableElsewhereError,
    TableName,
    change_table,
    complete_change,
    read_table,
    remove_table,
    undo_change,
)
from relay.config.values import Section
from relay.people.audit_trail import AuditTrail

CHANGED = "changed"
"""What the audit has in the place of a secret."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a table. `values` of None remove it."""

    name: TableName
    values: Mapping[str, Any] | None
    version: str
    """That of the table as its reader saw it, "" for a new one."""
    action: str
    """Name in the audit, such as "identity.change"."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Saved:
    """It is in the file and in force. `before` and `after` are for the audit."""

    before: str
    after: str
    warnings: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Stale:
    """Somebody else changed the table meanwhile, and nothing was written; `present` is what it is now."""

    present: Table
    person: str = ""
    """Who changed it last, "" if the audit has no change of it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed."""

    faults: tuple[Fault, ...] = ()
    texts: Sequence[str] = ()
    """Faults that concern no key of the table."""


Outcome = Saved | Stale | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEditor:
    """Changes the files of the configuration. `config` is None for a server without one.

    A process has one editor. Whoever writes such a file and reloads holds its lock meanwhile: so a reload finds no
    unfinished change of somebody else.
    """

    config: Path | None
    environ: Mapping[str, str]
    reload: Callable[[], Awaitable[Mapping[str, object]]]
    unreached_nodes: Callable[[], Awaitable[Sequence[str]]]
    """Returns the names of the nodes of this store that are alive and that `reload` does not reach."""
    audit: AuditTrail
    key: Callable[[], bytes]
    """Returns the key of versions."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fault(self) -> str:
        """Return why nothing can be changed here, "" if it can."""
        if self.config is None:
            return "This server runs without a configuration file."
        if others := await self.unreached_nodes():
            return (
                f"Other nodes share this store, each with files of its own: {', '.join(others)}. No file was changed. "
                f"Make the change in {self.config.parent / 'conf.d'} here and on each of them, then run "
                "`relay config reload` on each."
            )
        return ""

    async def read(self, name: TableName) -> Table:
        """Return a table as the files have it; an empty one for a server without files."""
        if self.config is None:
            return Table(name, Path())
        return await asyncio.to_thread(read_table, self.config, name, self.environ, self.key())

    async def save(self, edit: Edit, *, person: str, client: str) -> Outcome:
        """Write a change, reload the configuration, and record who made it. Raises StoreError."""
        outcome = await self.change(edit)
        if isinstance(outcome, Saved):
            await self.audit.note(
                edit.action,
                person=person,
                client=client,
                subject=edit.name.name,
                before=outcome.before,
                after=outcome.after,
            )
        return outcome

    async def change(self, edit: Edit) -> Outcome:
        """Write a change and reload the configuration; the caller records it. Raises StoreError."""
        fault = await self.fault()
        if self.config is None or fault:
            return Refused(texts=(fault,))
        async with self.lock:
            before = await self.read(edit.name)
            outcome = await self._written(self.config, edit)
        match outcome:
            case Stale():
                return Stale(outcome.present, await self._changed_by(edit.name))
            case Saved(warnings=warnings):
                was, now = audit_texts(before, edit)
                return Saved(was, now, warnings)
        return outcome

    async def _written(self, config: Path, edit: Edit) -> Outcome:
        """Write a change, and use it. Nothing is changed unless the server takes the whole configuration."""
        try:
            change = await asyncio.to_thread(_write, config, edit, self.environ, self.key())
        except StaleTableError as error:
            return Stale(error.present)
        except ConfigError as error:
            return Refused(error.faults)
        except TableElsewhereError as error:
            return Refused(texts=(str(error),))
        except OSError as error:
            return Refused(texts=(f"{error.filename or config.parent} cannot be written: {error.strerror}.",))
        faults = (await self.reload()).get("faults")
        if faults:
            await asyncio.to_thread(undo_change, config, change)
            await self.reload()
            return Refused(texts=[str(one) for one in faults] if isinstance(faults, list | tuple) else [str(faults)])
        await asyncio.to_thread(complete_change, change)
        return Saved("", "", change.warnings)

    async def _changed_by(self, name: TableName) -> str:
        last = await self.audit.last(name.kind, name.name)
        return last.person if last else ""


def audit_texts(before: Table, edit: Edit) -> tuple[str, str]:
    """Return the texts before and after for the audit: the keys that differ, without secrets."""
    schema = before.schema
    if edit.values is None:
        return _listed(before.values, schema), "removed"
    after: dict[str, Any] = {**edit.values, **dict.fromkeys(edit.secrets, CHANGED)}
    keys = [key for key in {**before.values, **after} if before.values.get(key) != after.get(key)]
    was = {key: before.values[key] for key in keys if key in before.values}
    now = {key: after[key] for key in keys if key in after}
    return _listed(was, schema), _listed(now, schema) or "nothing"


def _listed(values: Mapping[str, Any], schema: type[Section] | None) -> str:
    shown = without_secrets(values, schema)
    return ", ".join(f"{key} = {CHANGED if one is None else toml_value(one)}" for key, one in shown.items())


def without_secrets(values: Mapping[str, Any], schema: type[Section] | None) -> dict[str, Any]:
    """Return the values of a table with None in the place of secrets, and their file names; also of inner tables."""
    fields = fields_of(schema) if schema else {}
    from_file = keys_from_file(schema) if schema else {}
    shown: dict[str, Any] = {}
    for key, value in values.items():
        field, inner = fields.get(key), None if schema is None else _inner_section(fields.get(key))
        if key in from_file or key.removesuffix("_file") in from_file or "SecretStr" in str(field and field.annotation):
            shown[key] = None
        elif isinstance(value, Mapping) and inner is not None:
            kept = without_secrets(value, inner)
            shown[key] = {name: CHANGED if one is None else one for name, one in kept.items()}
        else:
            shown[key] = value
    return shown


def _inner_section(field: FieldInfo | None) -> type[Section] | None:
    """Return the section of a field, None if it has none."""
    kinds = (field.annotation, *get_args(field.annotation)) if field else ()
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, Section)), None)


def _write(config: Path, edit: Edit, environ: Mapping[str, str], key: bytes) -> TableChange:
    if edit.values is None:
        return remove_table(config, edit.name, environ, version=edit.version, key=key)
    return change_table(
        config,
        edit.name,
        edit.values,
        environ,
        version=edit.version,
        secrets=edit.secrets,
        mark=secrets.token_hex(8),
        key=key,
    )
