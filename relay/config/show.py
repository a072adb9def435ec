"""Writes settings as TOML, with secrets masked."""

import json
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from relay.config.errors import key_text
from relay.config.masking import MASK, mask_url
from relay.config.parsers import parse_share, parse_size
from relay.config.schema import fields_of
from relay.config.settings import Settings
from relay.config.toml_positions import KeyPath
from relay.config.values import Section

_DURATIONS = (("d", 86400), ("h", 3600), ("m", 60))

_MIN_DAYS = 7
"""Days of a duration that is written in days, at least; a shorter one is written in hours."""

_SIZES = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def toml_of(settings: Settings) -> str:
    """Return all settings as a TOML document; durations and sizes have units."""
    return toml_document(plain(settings), {})


def toml_document(values: dict[str, Any], notes: Mapping[KeyPath, str]) -> str:
    """Return plain values as a TOML document, with notes as comments behind their keys and tables."""
    return "\n".join(_lines(values, (), notes)).lstrip("\n") + "\n"


def toml_value(value: Any) -> str:
    """Return one plain value as TOML on one line; a table is an inline table."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{key_text((key,))} = {toml_value(item)}" for key, item in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_table(path: KeyPath, values: Mapping[str, Any], *, is_element: bool = False) -> str:
    """Return one table as TOML, with its header; an element is one of the array of tables at that path."""
    lines = [f"{key_text((key,))} = {toml_value(value)}" for key, value in values.items()]
    header = f"[[{key_text(path)}]]" if is_element else f"[{key_text(path)}]"
    return "\n".join((header, *lines)) + "\n"


def plain(settings: Section) -> dict[str, Any]:
    """Return a section as values of JSON and TOML, without those that are None; secrets are masked."""
    named = zip(fields_of(type(settings)).items(), type(settings).model_fields, strict=True)
    values = {key: plain_value(getattr(settings, name), field) for (key, field), name in named}
    return {key: value for key, value in values.items() if value is not None}


def duration_text(seconds: float) -> str:
    """Return seconds in the largest unit that divides them: 300.0 is "5m", 259200.0 is "72h", a week is "7d"."""
    for unit, length in _DURATIONS:
        count = seconds / length
        if count == int(count) and count >= (_MIN_DAYS if unit == "d" else 1):
            return f"{int(count)}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def size_text(octets: int) -> str:
    """Return octets in the largest unit that divides them: 26214400 is "25MiB"."""
    unit, length = next(((unit, length) for unit, length in _SIZES if octets % length == 0), ("B", 1))
    return f"{octets // length}{unit}"


def plain_value(value: Any, field: FieldInfo) -> Any:
    """Return the value of a field as one of JSON and TOML; secrets are masked."""
    match value:
        case Section():
            return plain(value)
        case dict():
            return {key: plain_value(item, field) for key, item in value.items()}
        case tuple():
            return [plain_value(item, field) for item in value]
        case SecretStr():
            return MASK if value.get_secret_value() else ""
        case float():
            return value if _is_parsed_by(field, parse_share) else duration_text(value)
        case bool():
            return value
        case int() if _is_parsed_by(field, parse_size):
            return size_text(value)
        case IPv4Network() | IPv6Network() | Path():
            return str(value)
        case str():
            return mask_url(value)
    return value


def _is_parsed_by(field: FieldInfo, parser: Callable[[object], float]) -> bool:
    return any(isinstance(one, BeforeValidator) and one.func is parser for one in field.metadata)


def _lines(table: dict[str, Any], path: KeyPath, notes: Mapping[KeyPath, str]) -> Iterator[str]:
    """Yield the plain keys of a table, then its tables under their headers."""

    def noted(line: str, at: KeyPath) -> str:
        return f"{line}  # {notes[at]}" if at in notes else line

    inner = {key: value for key, value in table.items() if isinstance(value, dict) or _is_tables(value)}
    for key, value in table.items():
        if key not in inner:
            yield noted(f"{key_text((key,))} = {toml_value(value)}", (*path, key))
    for key, value in inner.items():
        inner_path = (*path, key)
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            header = f"[[{key_text(inner_path)}]]" if isinstance(value, list) else f"[{key_text(inner_path)}]"
            item_path = (*inner_path, index) if isinstance(value, list) else inner_path
            if not item or item_path in notes or any(not isinstance(one, dict) for one in item.values()):
                yield from ("", noted(header, item_path))
            yield from _lines(item, item_path, notes)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
