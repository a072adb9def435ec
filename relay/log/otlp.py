"""Log lines as records of OTLP, the protocol of OpenTelemetry, in its JSON encoding (OTLP 1.5)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from relay.log.summary import summary_of, trace_of

_SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17}
"""SeverityNumber of the levels: the first of each range."""

_SCOPE = "relay.log"

_INTEGERS = range(-(2**63), 2**63)
"""What an `intValue` holds."""


def log_record(name: str, level: str, fields: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Return the record of one line. The body is its text for people."""
    record: dict[str, Any] = {
        "timeUnixNano": str(round(at * 1e6) * 1000),
        "severityNumber": _SEVERITIES[level],
        "severityText": level.upper(),
        "eventName": name,
        "body": {"stringValue": summary_of(name, fields)},
        "attributes": _attributes(fields),
    }
    if ids := trace_of(fields):
        record |= {"traceId": ids.trace, "spanId": ids.parent}
    return record


def export_request(records: Sequence[Mapping[str, Any]], hostname: str, version: str) -> bytes:
    """Return the body of a request that exports records of one server."""
    resource = {"service.name": "relay", "service.version": version, "host.name": hostname}
    logs = {"scope": {"name": _SCOPE, "version": version}, "logRecords": records}
    whole = {"resourceLogs": [{"resource": {"attributes": _attributes(resource)}, "scopeLogs": [logs]}]}
    return json.dumps(whole, separators=(",", ":"), default=str, allow_nan=False).encode()


def _attributes(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in fields.items() if value is not None]


def _value(value: object) -> dict[str, Any]:
    """Return an AnyValue."""
    match value:
        case bool():
            return {"boolValue": value}
        case int() if value in _INTEGERS:
            return {"intValue": str(value)}
        case float() if value - value == 0.0:
            return {"doubleValue": value}
        case Mapping():
            return {"kvlistValue": {"values": _attributes({str(key): one for key, one in value.items()})}}
        case list() | tuple():
            return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": str(value)}
