"""The trace that a mail or a request belongs to (W3C Trace Context). Pure."""

import re

from relay.frozen import dataclass

TRACEPARENT = "traceparent"
"""Name of the header field, of the metadata, and of the field of a line."""

_VERSION_00 = "00"

_FORM = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}"
    r"(?P<later>-.{0,200})?"
)
"""Sections 3.2.1 and 3.2.2. Version ff and ids of zeros are invalid. A later version may add fields behind a hyphen."""


@dataclass(frozen=True, slots=True)
class TraceIds:
    """The ids of a `traceparent`: of the whole trace, and of the step that caused the mail or the request."""

    trace: str
    parent: str


def parse_traceparent(value: str) -> TraceIds | None:
    """Return the ids, None if the value is not valid. It is ignored then (section 4.3)."""
    found = _FORM.fullmatch(value)
    if found is None or (found["later"] and found["version"] == _VERSION_00):
        return None
    return TraceIds(found["trace"], found["parent"])


def valid_traceparent(*values: str) -> str:
    """Return the value of a request or a mail with these fields `traceparent`; "" without one that is valid.

    Of two fields none can be trusted: a server on the way adds no second one.
    """
    return values[0] if len(values) == 1 and parse_traceparent(values[0]) else ""
