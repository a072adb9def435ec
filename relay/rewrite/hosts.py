"""Hosts that end in a number: browsers take them for IPv4 addresses, and refuse those that are none.

https://url.spec.whatwg.org/#concept-ipv4-parser
"""

import re

_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


def is_refused(host: str) -> bool:
    """Tell whether a browser refuses a lower-case host because it ends in a number and is no IPv4 address."""
    labels = host.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(labels[-1]):
        return False
    if len(labels) > 4:
        return True
    values = [_value(label) for label in labels]
    if None in values:
        return True
    numbers = [value for value in values if value is not None]
    return any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers))


def _value(label: str) -> int | None:
    """Return the number a label is in hexadecimal, octal or decimal; None when it is none."""
    if not _NUMBER.fullmatch(label) or len(label) > 40:
        return None
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if len(label) > 1 and label.startswith("0"):
        return int(label, 8) if set(label) <= set("01234567") else None
    return int(label)
