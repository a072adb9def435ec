"""The errors and warnings of checks across settings, a text each, and tables to check."""

from typing import Any

from relay.config.checks import find_errors, find_warnings
from relay.config.errors import key_text
from relay.config.settings import Settings

HOST = {"host": "smtp.test"}

IMAP = {"host": "h", "username": "u", "password": "p"}


def errors_of(tables: dict[str, Any]) -> list[str]:
    return [f"{key_text(one.path)}: {one.problem}" for one in find_errors(Settings.model_validate(tables))]


def warnings_of(tables: dict[str, Any]) -> list[str]:
    return [f"{key_text(one.path)}: {one.problem}" for one in find_warnings(Settings.model_validate(tables))]


def listener_table(**keys: Any) -> dict[str, Any]:
    return {"name": "a", "address": "127.0.0.1:2525", **keys}
