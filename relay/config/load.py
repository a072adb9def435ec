"""Load the configuration: every fault at once, or settings."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from relay.config.checks import find_errors, find_warnings
from relay.config.errors import ConfigError, Fault, Problem, finding_of
from relay.config.schema import example_of, field_at
from relay.config.secret_files import file_findings, missing_dkim_keys, read_secrets
from relay.config.settings import Settings
from relay.config.sources import read_sources
from relay.config.toml_positions import KeyPath

_ROUNDS = 3
"""Mending a value can bring up one more fault: a table that was no table has keys that are missing."""


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings of this file, `conf.d` beside it and the environment; raise ConfigError with every fault."""
    settings, faults, _ = check(path, environ)
    if settings is None:
        raise ConfigError(faults)
    return settings


def check(path: Path, environ: Mapping[str, str]) -> tuple[Settings | None, tuple[Fault, ...], tuple[Fault, ...]]:
    """Return the settings (None when there are faults), the faults and the warnings, both in order of place."""
    tree = read_sources(path, environ)
    warnings = read_secrets(tree, path.parent, environ)
    settings, wrong = _validate(tree.values, path.parent)
    for finding in wrong:
        tree.blame(finding)
    whole = settings or _mended(tree.values, wrong, path.parent)
    if whole is not None and tree.complete:
        for finding in _not_about(wrong, [*find_errors(whole), *file_findings(whole)]):
            tree.blame(finding)
        found = _not_about(wrong, [*find_warnings(whole), *missing_dkim_keys(whole)])
        warnings += [finding.at(tree.place(finding.path)) for finding in found]
    faults = tuple(sorted(set(tree.faults)))
    return None if faults else settings, faults, tuple(sorted(set(warnings)))


def _validate(values: dict[str, Any], folder: Path) -> tuple[Settings | None, list[Problem]]:
    try:
        return Settings.model_validate(values, context={"folder": folder.absolute()}), []
    except ValidationError as error:
        return None, [finding_of(details) for details in error.errors(include_url=False)]


def _mended(values: dict[str, Any], wrong: list[Problem], folder: Path) -> Settings | None:
    """Return settings with a valid value wherever one is wrong, so that what depends on the others can be checked too.

    None when the values cannot be mended.
    """
    values = copy.deepcopy(values)
    for _ in range(_ROUNDS):
        for finding in reversed(wrong):
            _mend(values, finding.path)
        settings, wrong = _validate(values, folder)
        if settings is not None:
            return settings
    return None


def _mend(values: dict[str, Any], path: KeyPath) -> None:
    """Put the example of the schema in the place of a wrong value, or take it away for the default to hold."""
    holder: Any = values
    for part in path[:-1]:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return
    match holder, path[-1]:
        case list(), int(index) if index < len(holder):
            del holder[index]
        case dict(), str(key):
            holder.pop(key, None)
            field = field_at(path)
            stand_in = None if field is None else example_of(field)
            holder.update({} if stand_in is None else {key: stand_in})


def _not_about(wrong: list[Problem], found: Iterable[Problem]) -> Iterator[Problem]:
    """Yield what was not found only because a value is wrong already."""
    blamed = [finding.path for finding in wrong]
    return (finding for finding in found if not any(finding.path[: len(path)] == path for path in blamed))
