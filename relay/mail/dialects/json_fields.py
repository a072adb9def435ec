"""JSON in vendor header fields: an object that every later step can read, store and show. Pure."""

import json
from math import isfinite
from typing import Any

from relay.mail.instructions import InstructionError, check_characters

MAX_DEPTH = 20
"""Objects and lists within each other, at most: the vendors' own forms have five."""

_TOO_DEEP = "nested too deeply"

_SHOWN = 40
"""Characters of a value that a refusal repeats."""


def parse_json_object(name: str, text: str) -> dict[str, Any]:
    """Return the JSON object of the field of that name. Of keys that stand twice, the last applies.

    Raises InstructionError for other JSON, and for objects and lists that are nested too deeply. Also for numbers that
    are infinite or too long, and for texts that no store takes.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise InstructionError(f"{name}: not JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:
        why = _TOO_DEEP if isinstance(error, RecursionError) else str(error)[:_SHOWN]
        raise InstructionError(f"{name}: not JSON: {why}") from None
    if not isinstance(value, dict):
        raise InstructionError(f'{name}: a JSON object is expected, such as {{"key": "value"}}')
    _check(name, value)
    return value


def _check(name: str, value: dict[str, Any]) -> None:
    """Raise for a value that a later step would fail at. It goes level by level: recursion would fail itself."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        objects = [one for one in level if isinstance(one, dict)]
        lists = [one for one in level if isinstance(one, list)]
        for text in (*(one for one in level if isinstance(one, str)), *(key for one in objects for key in one)):
            check_characters(name, text)

        level = [item for inner in (*lists, *(one.values() for one in objects)) for item in inner]
        if not level:
            return
    raise InstructionError(f"{name}: not JSON: {_TOO_DEEP}")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:_SHOWN]} is too large")
    return number


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")
