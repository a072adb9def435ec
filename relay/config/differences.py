"""Differences between two settings: between those in force and those of the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from relay.config.schema import fields_of
from relay.config.show import plain_value
from relay.config.toml_positions import KeyPath
from relay.config.values import Section


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that differs. `path` is its place in the first settings; what these lack follows what they have.

    `other` is the value in the second settings as of JSON and TOML, None if they have none.
    """

    path: KeyPath
    other: Any
    added: bool = False
    """True if only the second settings have it."""


def find_differences(first: Section, second: Section, path: KeyPath = ()) -> Iterator[Difference]:
    """Yield the differences of two sections of one kind. Tables of an array are compared by their names."""
    named = zip(fields_of(type(first)).items(), type(first).model_fields, strict=True)
    for (key, field), name in named:
        yield from _values(getattr(first, name), getattr(second, name), (*path, key), field)


def _values(first: Any, second: Any, path: KeyPath, field: FieldInfo) -> Iterator[Difference]:
    match first, second:
        case Section(), Section():
            yield from find_differences(first, second, path)
        case dict(), dict():
            yield from _tables(first, second, path, field)
        case tuple(), tuple() if _are_sections(first) or _are_sections(second):
            yield from _arrays(first, second, path, field)
        case _ if first != second:
            yield Difference(path, None if second is None else plain_value(second, field), added=first is None)


def _tables(first: dict[str, Any], second: dict[str, Any], path: KeyPath, field: FieldInfo) -> Iterator[Difference]:
    for key, value in first.items():
        if key in second:
            yield from _values(value, second[key], (*path, key), field)
        else:
            yield Difference((*path, key), None)
    for key in second.keys() - first.keys():
        yield Difference((*path, key), plain_value(second[key], field), added=True)


def _arrays(first: Sequence[Any], second: Sequence[Any], path: KeyPath, field: FieldInfo) -> Iterator[Difference]:
    by_name = {one.name: one for one in second}
    for index, one in enumerate(first):
        if one.name in by_name:
            yield from find_differences(one, by_name.pop(one.name), (*path, index))
        else:
            yield Difference((*path, index), None)
    for index, one in enumerate(by_name.values(), len(first)):
        yield Difference((*path, index), plain_value(one, field), added=True)


def _are_sections(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(one, Section) for one in values)
