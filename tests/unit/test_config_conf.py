"""conf/relay.toml is the reference of the configuration: it says every key, and what it says is the default."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relay.config.schema import example_of, fields_of, keys_from_file, table_at
from relay.config.settings import Settings
from relay.config.toml_positions import KeyPath
from relay.config.values import (
    Listening,
    Section,
)

_TEXT = (Path(__file__).parents[2] / "conf" / "relay.toml").read_text()

_SETTING = re.compile(r"^#(?=[^\s:])", re.MULTILINE)

_EXAMPLE = re.compile(r"^#\w+ = .*# example$", re.MULTILINE)

_ONLY_SHOWN = ("provider", "site", "webhook", "domains", "identities", "credentials")
"""Tables that show an entry where the default has none; [bounces.imap] is another."""


def _uncommented(text: str) -> dict[str, Any]:
    return tomllib.loads(_SETTING.sub("", text))


def _tables(values: Any, path: KeyPath = ()) -> Iterator[tuple[type[Section], dict[str, Any]]]:
    if isinstance(values, dict):
        if table := table_at(path):
            yield table, values
        for key, value in values.items():
            yield from _tables(value, (*path, key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _tables(value, (*path, index))


def _with_secrets(values: dict[str, Any]) -> dict[str, Any]:
    for table, keys in _tables(values):
        for key, field in keys_from_file(table).items():
            if keys.pop(f"{key}_file", None):
                keys[key] = example_of(field)
    return values


def test_the_shipped_file_changes_nothing() -> None:
    assert tomllib.loads(_TEXT) == {}


def test_commented_values_are_the_defaults() -> None:
    values = _uncommented(_EXAMPLE.sub("", _TEXT))
    for table in _ONLY_SHOWN:
        del values[table]
    del values["bounces"]["imap"], values["console"]["people"]
    assert Settings.model_validate(values) == Settings()


def test_the_file_has_exactly_the_keys_of_the_schema() -> None:
    seen = set()
    for table, keys in _tables(_with_secrets(_uncommented(_TEXT))):
        assert set(keys) == set(fields_of(table)), table
        seen.add(table)
    parts = {part for parent in (Section, Listening) for part in parent.__subclasses__()}
    assert {part for part in parts if part.__module__.startswith("relay.config")} - {Listening} <= seen


def test_example_tables_are_valid_and_unmarked_keys_are_defaults() -> None:
    settings = Settings.model_validate(_with_secrets(_uncommented(_TEXT)))
    unmarked = _uncommented(_EXAMPLE.sub("", _TEXT))
    compared = 0
    for path in (
        ("provider", 0),
        ("provider", 0, "oauth"),
        ("site", 0),
        ("webhook", 0),
        ("domains", "acme.test"),
        ("domains", "acme.test", "tracking"),
        ("identities", "billing@acme.test"),
        ("bounces", "imap"),
        ("console", "people", "jane@acme.test"),
    ):
        shown: Any = settings.as_toml_shape()
        keys: Any = unmarked
        for part in path:
            shown, keys = shown[part], keys[part]
        table = table_at(path)
        assert table is not None
        for key in keys:
            default = fields_of(table)[key].get_default()
            if not isinstance(default, Section) and not (default is None and isinstance(keys[key], dict)):
                assert shown[key] == default, (path, key)
                compared += 1
    assert compared > 15
