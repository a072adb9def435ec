"""Loads the configuration: settings, or all faults at once."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from relay.clock import Clock, system_clock
from relay.config.checks import find_errors, find_warnings
from relay.config.errors import MISSING, UNKNOWN_KEY, ConfigError, Fault, Problem, problem_of
from relay.config.file_checks import find_file_errors, find_file_warnings
from relay.config.schema import example_of, field_at
from relay.config.secret_files import read_secrets
from relay.config.settings import Settings
from relay.config.sources import read_sources
from relay.config.toml_positions import KeyPath

_MAX_REPAIRS = 3
"""Validations after a repair, at most. A repaired value can show a further error, such as keys missing in a table."""


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings from this file, `conf.d` beside it and the environment; raise ConfigError with all faults."""
    settings, faults, _ = check(path, environ)
    if settings is None:
        raise ConfigError(faults)
    return settings


def check(
    path: Path,
    environ: Mapping[str, str],
    clock: Clock = system_clock,
    changed: Mapping[Path, bytes | None] | None = None,
) -> tuple[Settings | None, tuple[Fault, ...], tuple[Fault, ...]]:
    """Return the settings (None if there are faults), the faults and the warnings, both ordered by location.

    The clock decides which certificates expire soon. `changed` has files of `conf.d` as they would be: `read_sources`.
    """
    tree = read_sources(path, environ, changed)
    warnings = read_secrets(tree, path.parent, environ)
    settings, invalid = _validate(tree.values, path.parent)
    for problem in invalid:
        tree.add_fault(problem)

    # The checks across settings need valid settings: with invalid values replaced, they find their errors too.
    valid = settings or _repaired(tree.values, invalid, path.parent)
    if valid is not None and tree.complete:
        for problem in _unrelated(invalid, [*find_errors(valid), *find_file_errors(valid)]):
            tree.add_fault(problem)
        found = _unrelated(invalid, [*find_warnings(valid), *find_file_warnings(valid, clock())])
        warnings += [problem.at(tree.location(problem.path)) for problem in found]

    faults = tuple(sorted(set(tree.faults)))
    return None if faults else settings, faults, tuple(sorted(set(warnings)))


def source_files(path: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that these settings are read from, and the folder `conf.d`."""
    tree = read_sources(path, environ)
    read_secrets(tree, path.parent, environ)
    return (path.parent / "conf.d", *tree.files)


def _validate(values: dict[str, Any], folder: Path) -> tuple[Settings | None, list[Problem]]:
    try:
        return Settings.model_validate(values, context={"folder": folder.absolute()}), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, list(_without_effects([problem_of(one) for one in found if one["type"] not in _EFFECTS]))


_EFFECTS = frozenset({"default_factory_not_called"})
"""Types of pydantic errors that follow from another error."""


def _without_effects(problems: list[Problem]) -> Iterator[Problem]:
    """Yield one problem for each path, and no key as missing that is there, but misspelt."""
    misspelt = {(*one.path[:-1], one.suggestion) for one in problems if one.problem == UNKNOWN_KEY}
    seen: set[KeyPath] = set()
    for one in problems:
        if one.path not in seen and not (one.problem == MISSING and one.path in misspelt):
            seen.add(one.path)
            yield one


def _repaired(values: dict[str, Any], invalid: list[Problem], folder: Path) -> Settings | None:
    """Return settings with a valid value in place of each invalid one, None if that fails."""
    values = copy.deepcopy(values)
    for _ in range(_MAX_REPAIRS):
        for problem in reversed(invalid):
            _repair(values, problem)
        settings, invalid = _validate(values, folder)
        if settings is not None:
            return settings
    return None


def _repair(values: dict[str, Any], problem: Problem) -> None:
    """Rename a misspelt key; replace an invalid value by the example of the schema, or remove it."""
    path = problem.path
    holder: Any = values
    for part in path[:-1]:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return

    match holder, path[-1]:
        case list(), int(index) if index < len(holder):
            del holder[index]
        case dict(), str(key) if problem.problem == UNKNOWN_KEY:
            value = holder.pop(key, None)
            if field_at((*path[:-1], problem.suggestion)) is not None:
                holder.setdefault(problem.suggestion, value)
        case dict(), str(key):
            holder.pop(key, None)
            field = field_at(path)
            example = None if field is None else example_of(field)
            holder.update({} if example is None else {key: example})


def _unrelated(invalid: list[Problem], found: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems that do not concern or follow from a value reported as invalid already."""
    reported = [problem.path for problem in invalid]
    for problem in found:
        concerned = any(problem.path[: len(path)] == path for path in reported)
        if not concerned and not (problem.depends and any(_is_name(path, problem.depends) for path in reported)):
            yield problem


def _is_name(path: KeyPath, tables: KeyPath) -> bool:
    """Return whether a path is one of these tables as a whole, or the name of one."""
    inside = path[len(tables) :]
    return path[: len(tables)] == tables and (len(inside) < 2 or inside[-1] == "name")
