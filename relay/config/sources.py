"""Reads files and environment into one tree of values with the location of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import SecretStr

from relay.config.errors import ENVIRONMENT, Fault, Location, Problem, key_text
from relay.config.schema import field_at
from relay.config.toml_faults import TomlFault, parse_toml
from relay.config.toml_positions import KeyPath, key_positions

_PREFIX = "RELAY__"

_CASELESS: tuple[KeyPath, ...] = (("domains",), ("identities",))


@dataclass(slots=True)
class Tree:
    """The merged values, the location of each path, and the faults found so far."""

    values: dict[str, Any] = field(default_factory=dict)
    locations: dict[KeyPath, Location] = field(default_factory=dict)
    places: dict[KeyPath, list[Location]] = field(default_factory=dict)
    """All locations of each path: a later file replaces values of an earlier one."""
    faults: list[Fault] = field(default_factory=list)
    complete: bool = True
    """False if a file could not be read or is not TOML: it may hold values that seem to be missing."""
    files: list[Path] = field(default_factory=list)
    """The files read, and those of secrets."""

    def location(self, path: KeyPath) -> Location:
        """Return the location of the path, or of the innermost table around it that has one."""
        path = _folded(path)
        for length in range(len(path), 0, -1):
            if path[:length] in self.locations:
                return self.locations[path[:length]]
        return self.locations.get((), Location(""))

    def set_location(self, path: KeyPath, location: Location) -> None:
        """Record the location of the path."""
        self.locations[_folded(path)] = location
        self.places.setdefault(_folded(path), []).append(location)

    def files_of(self, path: KeyPath) -> dict[str, Location]:
        """Return the first location of a table in each file that has a part of it."""
        path, found = _folded(path), dict[str, Location]()
        for key, places in self.places.items():
            if key[: len(path)] == path:
                for place in places:
                    found[place.file] = min(place, found.get(place.file, place))
        return found

    def add_fault(self, problem: Problem) -> None:
        """Add the problem as a fault at the location of its path."""
        self.faults.append(problem.at(self.location(problem.path)))

    def table(self, path: KeyPath) -> Any:
        """Return the value at a path, None if there is none."""
        found: Any = self.values
        for part in path:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return None
        return found


def _folded(path: KeyPath) -> KeyPath:
    """Return the path with the names of domains and identities in lower case, as in the settings."""
    return (path[0], str(path[1]).lower(), *path[2:]) if path[:1] in _CASELESS and len(path) > 1 else path


def read_sources(path: Path, environ: Mapping[str, str], changed: Mapping[Path, bytes | None] | None = None) -> Tree:
    """Read the file, `conf.d/*.toml` beside it in name order, and the `RELAY__SECTION__KEY` variables.

    Tables are merged and arrays of tables appended; any other value replaces an earlier one. `changed` has contents of
    files of that folder that take the place of those on disk; None leaves a file out.
    """
    changed = changed or {}
    tree = Tree(locations={(): Location(str(path))})
    for source in (path, *sorted({*(path.parent / "conf.d").glob("*.toml"), *changed})):
        content = changed.get(source)
        if content is not None or source not in changed:
            _add_file(tree, source, content)
    for name in sorted(environ):
        if name.startswith(_PREFIX) and len(name) > len(_PREFIX):
            _override(tree, name, environ[name])
    return tree


def _add_file(tree: Tree, source: Path, content: bytes | None = None) -> None:
    tree.files.append(source)
    text = ""
    try:
        text = (source.read_bytes() if content is None else content).decode("utf-8-sig").replace("\r\n", "\n")
        values = parse_toml(text)
    except (OSError, UnicodeDecodeError, TomlFault) as error:
        tree.complete = False
        tree.faults.append(_source_fault(source, error))
        return
    moved = _merge(tree.values, values, ())
    for path, line in key_positions(text).items():
        tree.set_location(_move(path, moved), Location(str(source), line))


def _source_fault(source: Path, error: OSError | UnicodeDecodeError | TomlFault) -> Fault:
    match error:
        case OSError():
            return Fault(str(source), 0, "", f"cannot be read: {error.strerror}")
        case UnicodeDecodeError():
            line = error.object.count(b"\n", 0, error.start) + 1
            return Fault(str(source), line, "", "is not UTF-8", "UTF-8; `iconv -t UTF-8` converts it")
        case TomlFault():
            at = f" at column {error.column}" if error.column else ""
            return Fault(str(source), error.line, "", f"not TOML{at}: {error.problem}", error.allowed)


def _merge(into: dict[str, Any], values: dict[str, Any], path: KeyPath) -> dict[KeyPath, int]:
    """Merge values in place; return how many elements each appended array of tables had before."""
    moved: dict[KeyPath, int] = {}
    for key, value in values.items():
        old, key_path = into.get(key), (*path, key)
        if isinstance(old, dict) and isinstance(value, dict):
            moved |= _merge(old, value, key_path)
        elif _is_tables(old) and _is_tables(value):
            moved[key_path] = len(old)
            old.extend(value)
        else:
            into[key] = value
    return moved


def _is_tables(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _move(path: KeyPath, moved: dict[KeyPath, int]) -> KeyPath:
    """Return the path of a value after merging."""
    parts = list(path)
    for at, part in enumerate(parts):
        if isinstance(part, int):
            parts[at] = part + moved.get(path[:at], 0)
    return tuple(parts)


def _override(tree: Tree, name: str, text: str) -> None:
    """Set a value from a `RELAY__SECTION__KEY` variable."""
    path: KeyPath = tuple(
        int(part) if part.isascii() and part.isdigit() else part.lower()
        for part in name.removeprefix(_PREFIX).split("__")
    )

    if not _is_utf8(name + text):
        shown = name.encode("ascii", "backslashreplace").decode()
        tree.faults.append(Fault(ENVIRONMENT, 0, shown, "is not UTF-8", "UTF-8"))
        return

    holder: Any = tree.values
    for at, part in enumerate(path):
        last = at == len(path) - 1
        if isinstance(holder, dict) and isinstance(part, str) and part:
            holder[part] = _value(path, text) if last else holder.get(part, [] if isinstance(path[at + 1], int) else {})
        elif isinstance(holder, list) and isinstance(part, int) and part <= len(holder):
            if part == len(holder):
                holder.append({})
            holder[part] = _value(path, text) if last else holder[part]
        else:
            problem = f"{name} names no setting: {key_text(path[:at]) or 'the configuration'} has no {part!r}"
            tree.faults.append(Fault(ENVIRONMENT, 0, key_text(path), problem))
            return
        holder = holder[part]

    tree.set_location(path, Location(ENVIRONMENT))


def _value(path: KeyPath, text: str) -> Any:
    """Parse the text as TOML.

    Text that is not TOML is a string, and so is any text for a string field: `12345` may be a password.
    """
    try:
        parsed = parse_toml(f"value = {text}")
    except TomlFault:
        return text
    value = parsed["value"]
    field = field_at(path)
    wants_text = field is not None and field.annotation in (str, SecretStr)
    return text if len(parsed) > 1 or (wants_text and not isinstance(value, str)) else value


def _is_utf8(text: str) -> bool:
    """Return whether a variable was UTF-8. Python keeps other octets as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
