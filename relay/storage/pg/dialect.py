"""The SQL of `storage.database` as PostgreSQL wants it. Pure."""

import re
from functools import lru_cache

_HINT = re.compile(r" INDEXED BY \w+")
_PLACE = re.compile(r"\?(\d*)")


@lru_cache(maxsize=2048)
def translated(sql: str) -> str:
    """Return the statement with `$n` for `?` and `?n`, and without the hints to SQLite's planner."""
    count = 0

    def place(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${found[1] or count}"

    return _PLACE.sub(place, _HINT.sub("", sql))
