"""Faults of one table: by its keys, as sentences, and those that restricted keys and persons are shown. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from relay.config.errors import Fault, key_text
from relay.config.table_files import Table, TableName

_INDEX = re.compile(r"\[\d+\].*$")


def faults_by_key(faults: Iterable[Fault], name: TableName, file: Path, keys: Iterable[str]) -> Mapping[str, str]:
    """Return the faults of a table in that file by its dotted keys; "" has all others, a line each.

    `keys` are those that the form has. A fault of `password_file` concerns `password`.
    """
    fields, found = set(keys), dict[str, list[str]]()
    path = name.path[:-1] if name.is_element else name.path
    inside = re.compile(re.escape(key_text(path)) + (r"\[\d+\]" if name.is_element else "") + r"\.(.+)")
    for fault in faults:
        match = inside.fullmatch(fault.key) if fault.file == str(file) else None
        key = _INDEX.sub("", match[1]) if match else ""
        key = key if key in fields else key.removesuffix("_file")
        if key in fields:
            found.setdefault(key, []).append(fault_text(fault))
        else:
            found.setdefault("", []).append(str(fault))
    return {key: "\n".join(texts) for key, texts in found.items()}


def fault_text(fault: Fault) -> str:
    """Return a fault as sentences: what is wrong, and what would be right."""
    text = fault.problem[:1].upper() + fault.problem[1:]
    text += f". Allowed: {fault.allowed}" if fault.allowed else ""
    return f"{text}. Did you mean {fault.suggestion}?" if fault.suggestion else f"{text}."


OTHER_FAULTS = "nothing was changed, because the configuration has faults: tell an operator"


def visible_faults(
    present: Table, faults: Sequence[Fault], texts: Sequence[str]
) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """Return the faults of the table, and OTHER_FAULTS if there are others: for a key or person with restrictions."""
    own = tuple(one for one in faults if one.file == str(present.file))
    return own, (OTHER_FAULTS,) if texts or not own else ()
