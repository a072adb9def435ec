"""What the forms of a line derive from its fields: the text for people, and the trace."""

from collections.abc import Mapping
from typing import Any

from relay.mail.trace_context import TRACEPARENT, TraceIds, parse_traceparent

_TELLING = ("recipient", "reply", "reason", "error", "warning")
"""Fields that say most."""


def text_of(name: str, fields: Mapping[str, Any]) -> str:
    """Return what people read in a list: the name, and the fields that say most."""
    return " ".join([name, *(str(word) for key in _TELLING if (word := fields.get(key)))])


def trace_of(fields: Mapping[str, Any]) -> TraceIds | None:
    """Return the trace to which the application says that the mail belongs; else that of the request."""
    metadata = fields.get("metadata")
    own = parse_traceparent(str(metadata.get(TRACEPARENT))) if isinstance(metadata, Mapping) else None
    return own or parse_traceparent(str(fields.get(TRACEPARENT)))
