"""Regular expressions that mean the same in every Python relay runs on."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import relay

ONE_CHARACTER = {_constants.IN, _constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.CATEGORY}


def _patterns() -> Iterator[tuple[str, "re.Pattern[Any]"]]:
    for module in pkgutil.walk_packages(relay.__path__, "relay."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", value


def _backtracks(parsed: Any) -> bool:
    """Tell whether a possessive repeat of the parsed expression repeats what may have more than one way to match."""
    for operation, value in parsed:
        if operation is _constants.POSSESSIVE_REPEAT:
            (inner,) = value[2] if len(value[2]) == 1 else ((None, None),)
            if inner[0] not in ONE_CHARACTER | {_constants.ATOMIC_GROUP}:
                return True
        if any(_backtracks(one) for one in _inner(value)):
            return True
    return False


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _inner(one)


def test_possessive_repeats_are_atomic() -> None:
    """Before 3.11.5 Python gets others wrong (github.com/python/cpython/issues/106052); Debian 12 has 3.11.2."""
    found = dict(_patterns())
    assert len(found) > 50
    assert [name for name, one in found.items() if _backtracks(_parser.parse(one.pattern, one.flags))] == []


def test_a_repeat_that_backtracks_is_seen() -> None:
    assert _backtracks(_parser.parse(r"(?:ab?c)++"))
    assert _backtracks(_parser.parse(r"x(?>y(?:a|bc)*+)"))
    assert not _backtracks(_parser.parse(r"(?>ab?c)++[^-]++x?+"))
