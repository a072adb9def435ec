"""Tables of the configuration as files of their own in `conf.d`: read, changed, removed.

A table is changed only if its own file has all of it. One that stands elsewhere, or beside other things, is read only:
what a person wrote by hand is never overwritten. A digest of the values shows whether a table is as a reader saw it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from relay.config.conf_d import fragment_path, locked, remove_fragment, restore_fragment, write_fragment
from relay.config.errors import Fault, Location
from relay.config.schema import keys_from_file, table_at
from relay.config.show import toml_table
from relay.config.sources import Tree, read_sources
from relay.config.table_secrets import own_secrets, remove_secrets, write_secrets
from relay.config.toml_faults import TomlFault, parse_toml
from relay.config.toml_positions import KeyPath
from relay.config.values import Section
from relay.mail.canonical_address import keys_of

_NAMED_BY_ADDRESS = (("identities",), ("domains",), ("console", "people"))
"""Tables whose names have several spellings."""


@dataclass(frozen=True, slots=True)
class TableName:
    """A table of the configuration: `[identities."jane@acme.test"]`, `[bounces.imap]`, or a `[[provider]]` by name."""

    kind: str
    """First part of the name of its file, such as "identity"."""
    path: KeyPath
    """Where it stands. The last part of an element is its `name`."""
    is_element: bool = False
    """True for an element of an array of tables."""

    @property
    def name(self) -> str:
        """Its own name."""
        return str(self.path[-1])


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it stands in the files. `values` are those of TOML, with secrets, and empty if there is no table."""

    name: TableName
    file: Path
    """Where the table is written, or would be."""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    version: str = ""
    """Digest of the values, "" if there is no table."""
    place: Location | None = None
    """Where it begins in its own file; None if nothing of it is there."""
    elsewhere: Location | None = None
    """Where a person wrote it, or a part of it. Then it is read only."""

    @property
    def exists(self) -> bool:
        """Whether there is such a table."""
        return bool(self.version)

    @property
    def schema(self) -> type[Section] | None:
        """The section that checks it."""
        return table_at((*self.name.path[:-1], 0) if self.name.is_element else self.name.path)

    @property
    def secrets(self) -> Mapping[str, Any]:
        """The keys of secrets and of their files, with values."""
        table = self.schema
        keys = {name for key in (keys_from_file(table) if table else ()) for name in (key, f"{key}_file")}
        return {key: value for key, value in self.values.items() if key in keys}


@dataclass(frozen=True, slots=True)
class TableChange:
    """A change that was written. It is completed, or undone: then the files are as before."""

    file: Path
    before: bytes | None
    warnings: tuple[Fault, ...]
    new_secrets: tuple[Path, ...] = ()
    old_secrets: tuple[Path, ...] = ()


class TableElsewhereError(ValueError):
    """The table cannot be changed here, because a person wrote it; `place` says where."""

    def __init__(self, name: TableName, place: Location) -> None:
        self.place = place
        super().__init__(f"{name.name} is in {place_text(place)}: change it there")


class StaleTableError(ValueError):
    """The table is not what the reader saw any more; `present` is what it is now."""

    def __init__(self, present: Table) -> None:
        self.present = present
        super().__init__(f"{present.name.name} was {'changed' if present.exists else 'removed'} meanwhile")


def place_text(place: Location) -> str:
    """Return "relay.toml:12"; without a line the file or "environment" alone."""
    return f"{place.file}:{place.line}" if place.line else place.file


def read_table(config: Path, name: TableName, environ: Mapping[str, str], key: bytes = b"") -> Table:
    """Return a table as the files and the environment have it. Its version is keyed, so that no secret is guessed.

    Blocks.
    """
    tree = read_sources(config, environ)
    file, path = fragment_path(config, name.kind, name.name), _path_in(tree, name)
    if path is None:
        place = Location(str(file)) if file.exists() else None
        return Table(name, file, elsewhere=place)
    values = tree.table(path)
    places = tree.files_of(path)
    own = places.pop(str(file), None)
    elsewhere = min(places.values(), default=None)
    if elsewhere is None and not _is_written(file, name):
        elsewhere = own
    return Table(name, file, values if isinstance(values, dict) else {}, _version(values, key), own, elsewhere)


def change_table(
    config: Path,
    name: TableName,
    values: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    version: str | None = None,
    secrets: Mapping[str, str] | None = None,
    mark: str = "",
    key: bytes = b"",
) -> TableChange:
    """Write a table with these values into its own file; the whole configuration must be valid with it.

    `version` is that of the table as the reader saw it, "" for a new one; None does not compare. `secrets` are written
    to files of their own, named with `mark`, which is never used twice. Raises StaleTableError, TableElsewhereError,
    ConfigError and OSError; then nothing is changed. Blocks.
    """
    with locked(config):
        present = _checked(read_table(config, name, environ, key), version)
        before = present.file.read_bytes() if present.file.exists() else None
        references = write_secrets(config, f"{name.kind}-{name.name}", secrets or {}, mark)
        made = tuple(config.parent / reference for reference in references.values())
        text = _comments(before) + _text(name, {**values, **references})
        try:
            warnings = write_fragment(config, present.file, text, environ)
        except BaseException:
            remove_secrets(made)
            raise
        replaced = _secret_files(config, present, environ)
        return TableChange(present.file, before, warnings, made, replaced)


def remove_table(
    config: Path, name: TableName, environ: Mapping[str, str], *, version: str | None = None, key: bytes = b""
) -> TableChange:
    """Remove the file of a table. Raises as `change_table`. Blocks."""
    with locked(config):
        present = _checked(read_table(config, name, environ, key), version)
        if not present.exists:
            raise StaleTableError(present)
        before = present.file.read_bytes()
        warnings = remove_fragment(config, present.file, environ)
        return TableChange(present.file, before, warnings, (), _secret_files(config, present, environ))


def undo_change(config: Path, change: TableChange) -> None:
    """Make the files what they were before a change. Raises OSError."""
    with locked(config):
        restore_fragment(config, change.file, change.before)
        remove_secrets(change.new_secrets)


def complete_change(change: TableChange) -> None:
    """Remove the files of secrets that a change replaced."""
    remove_secrets(change.old_secrets)


def _checked(present: Table, version: str | None) -> Table:
    """Return the table if it may be changed. Raises StaleTableError and TableElsewhereError."""
    if present.elsewhere is not None:
        raise TableElsewhereError(present.name, present.elsewhere)
    if version is not None and version != present.version:
        raise StaleTableError(present)
    return present


def _path_in(tree: Tree, name: TableName) -> KeyPath | None:
    """Return where the table is in the merged values, None if there is none."""
    holder = tree.table(name.path[:-1])
    if name.is_element:
        elements = holder if isinstance(holder, list) else []
        at = (at for at, one in enumerate(elements) if isinstance(one, dict) and one.get("name") == name.name)
        index = next(at, None)
        return None if index is None else (*name.path[:-1], index)
    names = holder if isinstance(holder, dict) else {}
    if name.path[:-1] not in _NAMED_BY_ADDRESS:
        return name.path if name.name in names else None
    spelling = next((one for one in names if keys_of(one.strip())[0] == keys_of(name.name)[0]), None)
    return None if spelling is None else (*name.path[:-1], spelling)


def _version(values: object, key: bytes) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return blake2b(text.encode(), key=key[:64], digest_size=16, person=b"relay.table").hexdigest()


def _text(name: TableName, values: Mapping[str, Any]) -> str:
    if name.is_element:
        return toml_table(name.path[:-1], {"name": name.name, **values}, is_element=True)
    return toml_table(name.path, values)


def _is_written(file: Path, name: TableName) -> bool:
    """Whether a file has this table alone, without comments inside: then nothing is lost when it is written anew."""
    try:
        content = file.read_bytes()
        found: Any = parse_toml(content.decode())
    except (OSError, UnicodeDecodeError, TomlFault):
        return False
    path = (*name.path[:-1], 0) if name.is_element else name.path
    for depth, part in enumerate(path, 1):
        if not isinstance(found, dict | list) or len(found) != 1:
            return False
        has_spellings = depth == len(path) and name.path[:-1] in _NAMED_BY_ADDRESS
        inner = dict(enumerate(found)) if isinstance(found, list) else found
        found = inner.get(next(iter(inner)) if has_spellings else part)
    rest = content.decode().removeprefix(_comments(content))
    return isinstance(found, dict) and rest.count("#") == _text(name, found).count("#")


def _comments(content: bytes | None) -> str:
    """Return the comments at the beginning of a file."""
    lines = (content or b"").decode().splitlines(keepends=True)
    count = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[:count])


def _secret_files(config: Path, before: Table, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files of secrets of the table before its change that no table names any more."""
    names = [str(one) for key, one in before.secrets.items() if key.endswith("_file")]
    table = f"{before.name.kind}-{before.name.name}"
    return own_secrets(config, table, names, read_sources(config, environ).values) if names else ()
