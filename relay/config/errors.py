"""What is wrong with a configuration: where, what, what would be right, and what was probably meant."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from relay.config.schema import fields_of, keys_from_file, sections, table_at
from relay.config.toml_positions import KeyPath

ENVIRONMENT = "environment"
"""Stands for the file of a value that came from an environment variable."""


_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


_KINDS = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "string_type": "a string",
    "path_type": "a path in a string",
    "tuple_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


_MANY = 12


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1; line 0 is the whole file or the environment."""

    file: str
    line: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong. `key` is empty when it is about the whole file."""

    file: str
    line: int
    key: str
    problem: str
    allowed: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = ": ".join(part for part in (place, self.key, self.problem) if part)
        text += f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{text} (did you mean {self.suggestion}?)" if self.suggestion else text


class ConfigError(Exception):
    """The configuration cannot be used; `faults` has everything that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault before its place is known. `path` leads to the key it is about."""

    path: KeyPath
    problem: str
    allowed: str = ""
    suggestion: str = ""

    def at(self, place: Place) -> Fault:
        """Return the fault with its place."""
        return Fault(place.file, place.line, key_text(self.path), self.problem, self.allowed, self.suggestion)


def key_text(path: KeyPath) -> str:
    """Write a path the way TOML writes dotted keys, indexes in brackets: `domains."acme.test".bcc[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (
                part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            )
    return text


def closest(word: object, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, "" when none is near."""
    names = {name.lower(): name for name in known}
    near = get_close_matches(str(word).lower(), names, n=1, cutoff=0.6)
    return names[near[0]] if near else ""


def finding_of(error: ErrorDetails) -> Problem:
    """Translate a pydantic error into the words of this program. Values appear only where they are no secret."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "setting":
        return Problem(path, context["problem"], context["allowed"], context["suggestion"])
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return Problem(path, "is missing")
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        return Problem(
            path, f"{_shown(value)} is not one of the choices", _listed(words), _quote(closest(value, words))
        )
    if kind in _KINDS:
        return Problem(path, f"is {_kind_of(value)}", _KINDS[kind])
    return _out_of_range(path, kind, context, value) or Problem(path, error["msg"])


def _unknown_key(path: KeyPath) -> Problem:
    table = table_at(path[:-1])
    known = [] if table is None else [*fields_of(table), *(f"{key}_file" for key in keys_from_file(table))]
    key = str(path[-1])
    elsewhere = [f"{name}.{key}" for name, section in sections() if key in fields_of(section)]
    allowed = ", ".join(known) if len(known) <= _MANY else ""
    return Problem(path, "unknown key", allowed, closest(key, known) or next(iter(elsewhere), ""))


def _out_of_range(path: KeyPath, kind: str, context: dict[str, Any], value: object) -> Problem | None:
    match kind:
        case "greater_than_equal":
            return Problem(path, f"{_shown(value)} is too low", f"{context['ge']} or more")
        case "less_than_equal":
            return Problem(path, f"{_shown(value)} is too high", f"{context['le']} or less")
        case "too_short" | "string_too_short":
            return Problem(path, "is empty", "at least one")
    return None


def _kind_of(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "a table"
    return f"a {type(value).__name__}"


def _listed(words: list[str]) -> str:
    return ", ".join(map(_quote, words))


def _quote(word: str) -> str:
    return f'"{word}"' if word else ""


def _shown(value: object) -> str:
    return _quote(value) if isinstance(value, str) and value else "the empty string" if value == "" else str(value)
