"""The trace that a mail or a request belongs to (W3C Trace Context). Pure."""

import re

TRACE = "traceparent"
"""Name of the header field, and of the metadata."""

TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
"""Its value, with the ids of trace and parent (section 3.2.2). Ids of zeros are not valid."""


def traceparent(value: str) -> str:
    """Return the value if it is valid, else "": it is ignored then (section 4.3)."""
    return value if TRACEPARENT.fullmatch(value) and not value.startswith("ff") else ""
