"""Names of tables that forms make: what a person typed, checked as the configuration checks it. Pure."""

import re

from relay.config.values import RESERVED_NAMES

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def name_fault(name: str, taken: frozenset[str]) -> str:
    """Return why a name cannot be that of a new provider, webhook or credential; "" if it can."""
    if not name:
        return "A name is needed."
    if not _NAME.fullmatch(name):
        return "Allowed: letters, digits, dot, hyphen and underscore, at most 64, the first no dot and no hyphen."
    if name.lower() in RESERVED_NAMES:
        return f"{name} is a word of the console. Choose another one."
    return f"There is {name} already. Choose another name." if name in taken else ""
