"""What the routes that change tables of the configuration share: conditions of a request, the change, its refusals."""

from collections.abc import Mapping
from typing import Any, assert_never

from aiohttp import web

from relay.admin.key_audit import REQUESTING_KEY
from relay.admin.requests import APPLICATION
from relay.config.errors import Fault
from relay.config.table_files import Table, TableElsewhereError
from relay.people.table_editor import Edit, Refused, Saved, Stale, TableEditor, without_secrets
from relay.people.table_faults import fault_text, visible_faults

NOBODY = ("",)
"""The domains of a key that has none: it is restricted to identities."""


_NOT_HERE = "nothing was changed: an operator must make this change in the configuration"
"""Why nothing can be changed by an application, without the names of nodes and files."""


def restricted_domains(request: web.Request) -> tuple[str, ...]:
    """Return the domains to which a request is restricted, () for all."""
    key = request.get(REQUESTING_KEY)
    if key is None:
        return NOBODY if APPLICATION in request else ()
    return () if key.domains is None else tuple(key.domains) or NOBODY


def check_preconditions(request: web.Request, table: Table) -> None:
    """Raise 412 unless the table is as the request expects it: If-Match, If-None-Match (RFC 9110 section 13.1)."""
    wanted = _tags(request, "If-Match")
    unwanted = {one.removeprefix("W/").strip('"') for one in _tags(request, "If-None-Match")}
    is_met = not wanted or (table.exists and ("*" in wanted or f'"{table.version}"' in wanted))
    if not is_met or (table.exists and ("*" in unwanted or table.version in unwanted)):
        state = f"its version is {table.version}" if table.exists else "there is none"
        text = f"{table.name.name[:255]} is not as If-Match or If-None-Match say: {state}"
        raise web.HTTPPreconditionFailed(text=text)


def _shown(present: Table, fault: Fault) -> str:
    """Return a fault without the file, if that is the one of the table: who reads it wrote none."""
    return f"{fault.key}: {fault_text(fault)}" if fault.file == str(present.file) else str(fault)


def _tags(request: web.Request, name: str) -> set[str]:
    given = ",".join(request.headers.getall(name, ()))
    return {one.strip() for one in given.split(",") if one.strip()}


def table_response(key: str, table: Table, more: Mapping[str, object] | None = None) -> web.Response:
    """Return a table with its version, which is the ETag too. `key` is what its name is called."""
    body = {
        key: table.name.name,
        "settings": without_secrets(table.values, table.schema),
        "version": table.version,
        "changeable": table.elsewhere is None,
        **(more or {}),
    }
    return web.json_response(body, headers={"ETag": f'"{table.version}"'})


async def save_table(
    editor: TableEditor, request: web.Request, present: Table, values: Mapping[str, Any] | None, **secrets: str
) -> None:
    """Write a table and put it in force; `values` None removes it. Nothing is written if it has these values.

    Raises 400 for faults of the values, 409 for everything else, and StoreError.
    """
    if present.elsewhere is not None:
        raise web.HTTPConflict(text=str(TableElsewhereError(present.name, present.elsewhere)))
    if fault := await editor.fault():
        raise web.HTTPConflict(text=_NOT_HERE if restricted_domains(request) else fault)
    if values is not None and present.exists and dict(values) == dict(present.values) and not secrets:
        return
    word = "remove" if values is None else "change" if present.exists else "new"
    edit = Edit(present.name, values, present.version, f"{present.name.kind}.{word}", secrets)
    key = request.get(REQUESTING_KEY)
    person, client = (f"key {key.credential}", key.client) if key else ("operator", "admin socket")
    match await editor.save(edit, person=person, client=client):
        case Saved():
            return
        case Stale():
            text = f"{present.name.name} was changed meanwhile: read it again, and repeat the request"
            conditional = "If-Match" in request.headers or "If-None-Match" in request.headers
            raise (web.HTTPPreconditionFailed if conditional else web.HTTPConflict)(text=text)
        case Refused(faults=faults, texts=texts):
            if restricted_domains(request):
                faults, texts = visible_faults(present, faults, texts)
            text = "; ".join((*texts, *(_shown(present, one) for one in faults)))
            raise web.HTTPBadRequest(text=text) if faults else web.HTTPConflict(text=text)
        case other:
            assert_never(other)
