"""Frozen dataclasses as cheap as others: the type checker alone keeps them from being changed.

`dataclasses` keeps a frozen instance from being changed at run time too, for which it sets each field by a function
call. A message makes some sixty of these values, which took a fourteenth of the time of the main thread.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, eq: bool = True, **options: bool) -> Callable[[type], type]:
        """Return the decorator of `dataclasses`, with the hash of a frozen class for `frozen`."""
        return dataclasses.dataclass(eq=eq, unsafe_hash=frozen and eq, **options)


__all__ = ["dataclass"]
