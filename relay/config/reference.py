"""Reads the reference of the configuration, conf/relay.toml: the comment and the value shown for each key."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

NAMED = frozenset({"domains", "identities", "credentials"})
"""Tables whose tables have names of their own: `[domains."acme.test"]`."""

_NAMED_PATHS = frozenset({*((name,) for name in NAMED), ("console", "people")})
"""The same, and those within other tables: `[console.people."jane@acme.test"]`."""


REPEATABLE = frozenset({"listener", "provider", "site", "webhook"})
"""Tables that are written `[[name]]`."""


@dataclass(frozen=True, slots=True)
class Described:
    """A table, or a key with the value that the reference shows, as TOML.

    `path` has no names of NAMED tables. `is_example` marks a value that is not the default.
    """

    path: tuple[str, ...]
    text: str
    value: str = ""
    is_example: bool = False

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


_HEADER = re.compile(r"#(\[{1,2}[^\]]+\]{1,2})$")

_SETTING = re.compile(r"#(\w+) = (.*?)(\s+# example)?$")

_COMMENT = re.compile(r"# (?! )(.*)$")


@cache
def reference() -> Sequence[Described]:
    """Return all tables and keys, in the order of the reference."""
    text = resources.files("relay").joinpath("share/relay.toml").read_text(encoding="utf-8")
    return tuple(parse_reference(text.splitlines()))


def parse_reference(lines: Iterable[str]) -> Iterator[Described]:
    """Yield the tables and keys of a reference. A key without a comment has that of the key before it."""
    table: tuple[str, ...] = ()
    comment: list[str] = []
    said, after_key = "", False
    for line in lines:
        if header := _HEADER.fullmatch(line):
            table = path_of(header[1])
            yield Described(table, " ".join(comment))
            comment, said, after_key = [], "", True
        elif setting := _SETTING.fullmatch(line):
            said = " ".join(comment) if comment else said
            yield Described((*table, setting[1]), said, setting[2].rstrip(), bool(setting[3]))
            comment, after_key = [], True
        elif text := _COMMENT.fullmatch(line):
            comment = [*([] if after_key else comment), text[1]]
            after_key = False
        else:
            comment, said, after_key = [], "", False


def path_of(header: str) -> tuple[str, ...]:
    """Return the path of a header such as `[domains."acme.test".dkim]`, without the names of NAMED tables."""
    path: list[str] = []
    found: Any = tomllib.loads(header)
    while found:
        if isinstance(found, list):
            found = found[0]
            continue
        ((key, found),) = found.items()
        path.append(key)
    return tuple(part for index, part in enumerate(path) if tuple(path[:index]) not in _NAMED_PATHS)


def describe(name: str) -> Sequence[Described]:
    """Return the key `name` such as "delivery.tls", or a table with its keys; nothing if there is neither."""
    return [one for one in reference() if one.name == name or one.name.startswith(f"{name}.")]
