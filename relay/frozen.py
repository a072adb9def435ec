"""Frozen dataclasses as cheap as others: the type checker alone keeps them from being changed.

`dataclasses` keeps a frozen instance from being changed at run time too, for which it sets each field by a function
call. A message makes some sixty of these values, which took a fourteenth of the time of the main thread.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:

    def dataclass(*, frozen: bool = False, eq: bool = True, **options: bool) -> Callable[[type], type]:
        """Return the decorator of `dataclasses`, with the hash of a frozen class for `frozen`."""
        return dataclasses.dataclass(eq=eq, unsafe_hash=frozen and eq, **options)

    def replace(value: Any, /, **changes: object) -> Any:
        """Return the value with other fields, as `dataclasses.replace` does for a class of several fields."""
        get, places = _fields(type(value))
        values = list(get(value))
        for name, new in changes.items():
            values[places[name]] = new
        return type(value)(*values)


@cache
def _fields(cls: type[Any]) -> tuple[Callable[[object], tuple[object, ...]], Mapping[str, int]]:
    """Return what reads all fields of a value, and their places among the arguments of its class."""
    names = [field.name for field in dataclasses.fields(cls)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}


__all__ = ["dataclass", "replace"]
