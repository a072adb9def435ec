"""The summary of a log line, and its trace, for the forms that have them."""

from collections.abc import Mapping
from typing import Any

from relay.mail.trace_context import TRACEPARENT, TraceIds, parse_traceparent

_SUMMARY_FIELDS = ("recipient", "reply", "reason", "error", "warning")
"""Fields of a summary."""


def summary_of(name: str, fields: Mapping[str, Any]) -> str:
    """Return a summary for a list: the name, and the values of the fields that explain it."""
    return " ".join([name, *(str(word) for key in _SUMMARY_FIELDS if (word := fields.get(key)))])


def trace_of(fields: Mapping[str, Any]) -> TraceIds | None:
    """Return the trace to which the application says that the mail belongs; else that of the request."""
    metadata = fields.get("metadata")
    own = parse_traceparent(str(metadata.get(TRACEPARENT))) if isinstance(metadata, Mapping) else None
    return own or parse_traceparent(str(fields.get(TRACEPARENT)))
