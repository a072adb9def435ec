"""Faults of a configuration: location, problem, allowed values and a suggestion."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from relay.config.parsers import quoted
from relay.config.schema import fields_of, keys_from_file, sections, table_at
from relay.config.toml_positions import KeyPath

ENVIRONMENT = "environment"
"""File name in the location of a value from an environment variable."""

UNKNOWN_KEY, MISSING = "unknown key", "is missing"

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_EXPECTED_TYPES = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "path_type": "a path in a string",
    "tuple_type": "an array",
    "list_type": "an array",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
"""Type to expect, by the type of the pydantic error."""

_MAX_LISTED_KEYS = 12
"""Keys of a table that an error lists, at most; for larger tables it lists none."""

_MAX_TEXT = 400
"""Characters of each part of a fault."""

_MAX_WORD = 100
"""Characters of a word that are compared with the known ones."""


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A line of a file, counted from 1; line 0 is the whole file or the environment."""

    file: str
    line: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One error or warning with its location. `key` is empty if it concerns the whole file."""

    file: str
    line: int
    key: str
    problem: str
    allowed: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        location = f"{self.file}:{self.line}" if self.line else self.file
        text = ": ".join(part for part in (location, self.key, self.problem) if part)
        text += f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{text} (did you mean {self.suggestion}?)" if self.suggestion else text


class ConfigError(Exception):
    """The configuration is invalid; `faults` has all errors."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


@dataclass(frozen=True, slots=True)
class Problem:
    """An error or warning without its location. `path` is the key it concerns.

    It may follow from a fault in the names of the tables at `depends`: then it is not reported beside that one.
    """

    path: KeyPath
    problem: str
    allowed: str = ""
    suggestion: str = ""
    depends: KeyPath = ()

    def at(self, location: Location) -> Fault:
        """Return the fault at this location."""
        texts = (key_text(self.path), self.problem, self.allowed, self.suggestion)
        return Fault(location.file, location.line, *map(_bounded, texts))


def _bounded(text: str) -> str:
    """Return a text for a terminal: control characters are escaped, and a long text is shortened."""
    text = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def key_text(path: KeyPath) -> str:
    """Return the path as a dotted TOML key with indexes in brackets: `domains."acme.test".bcc[0]`."""
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
    """Return the most similar known word, "" if none is similar."""
    names = {name.lower(): name for name in known}
    matches = get_close_matches(str(word)[:_MAX_WORD].lower(), names, n=1, cutoff=0.6)
    return names[matches[0]] if matches else ""


def problem_of(error: ErrorDetails) -> Problem:
    """Translate a pydantic error. Values appear only in errors of fields that hold no secret."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]

    if kind == "setting":
        return Problem(path, context["problem"], context["allowed"], context["suggestion"])
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return Problem(path, MISSING)
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        suggestion = _quote(closest(value, words)) if isinstance(value, str) else ""
        return Problem(path, f"{_shown(value)} is not one of the choices", _listed(words), suggestion)
    if kind in _EXPECTED_TYPES:
        return Problem(path, f"is {_type_name(value)}", _EXPECTED_TYPES[kind])
    return _out_of_range(path, kind, context, value) or Problem(path, f"{_type_name(value)} is not possible here")


def _unknown_key(path: KeyPath) -> Problem:
    table = table_at(path[:-1])
    known = [] if table is None else [*fields_of(table), *(f"{key}_file" for key in keys_from_file(table))]
    key = str(path[-1])
    elsewhere = [f"{name}.{key}" for name, section in sections() if key in fields_of(section)]
    allowed = ", ".join(known) if len(known) <= _MAX_LISTED_KEYS else ""
    return Problem(path, UNKNOWN_KEY, allowed, closest(key, known) or next(iter(elsewhere), ""))


def _out_of_range(path: KeyPath, kind: str, context: dict[str, Any], value: object) -> Problem | None:
    match kind:
        case "greater_than_equal":
            return Problem(path, f"{_shown(value)} is too low", f"{context['ge']} or more")
        case "less_than_equal":
            return Problem(path, f"{_shown(value)} is too high", f"{context['le']} or less")
        case "too_short" | "string_too_short":
            return Problem(path, "is empty", "at least one" if kind == "too_short" else "some text")
        case "string_unicode":
            return Problem(path, "is not UTF-8", "UTF-8")
    return None


def _type_name(value: object) -> str:
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
        case datetime():
            return "a date with a time"
        case date():
            return "a date"
        case time():
            return "a time of day"
    return "missing"


def _listed(words: list[str]) -> str:
    return ", ".join(map(_quote, words))


def _quote(word: str) -> str:
    return f'"{word}"' if word else ""


def _shown(value: object) -> str:
    return "the empty string" if value == "" else quoted(value)
