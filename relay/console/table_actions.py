"""What an action on a table of the configuration did, for the page that follows and for the audit."""

from aiohttp import web

from relay.config.table_files import Table, TableName, place_text
from relay.console.confirmations import Done
from relay.people.table_editor import Edit, Refused, Saved, Stale, TableEditor


async def table_to_change(editor: TableEditor, name: TableName, verb: str = "Change") -> Table:
    """Return a table that can be changed here; `verb` says how. Raises HTTPBadRequest with the reason otherwise."""
    table = await editor.read(name)
    fault = await editor.fault()
    if table.elsewhere is not None:
        fault = f"{name.name} is written in {place_text(table.elsewhere)}. {verb} it there."
    elif not table.exists:
        fault = f"There is no {name.name} here any more."
    if fault:
        raise web.HTTPBadRequest(text=fault)
    return table


def verb_of(action: str) -> str:
    """Return the verb for an action, for the text that sends the reader of a read-only table to its file."""
    return "Remove" if action.endswith(".remove") else "Change"


async def changed(
    editor: TableEditor, edit: Edit, what: str, follows: str = "", code: tuple[str, str] = ("", "")
) -> Done:
    """Make a change, and return its result. `code` has title and text of a secret that is shown once."""
    name = edit.name.name
    match await editor.change(edit):
        case Saved(before, after):
            title, text = code
            return Done(what, follows, "ok", name, before, after, text, title)
        case Stale(present, person):
            by = f" by {person}" if person else ""
            text = f"It was {'changed' if present.exists else 'removed'} meanwhile{by}. Look at it again."
            return Done("Nothing was changed.", text, "bad", name, "", "refused")
        case Refused(faults, texts):
            return Done("Nothing was changed.", "\n".join((*map(str, faults), *texts)), "bad", name, "", "refused")
