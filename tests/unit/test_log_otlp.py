"""Lines as records of OTLP."""

import json
import math

from relay.log.otlp import export_request, log_record

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_line_has_the_members_of_a_log_record() -> None:
    fields = {
        "recipient": "ada@reader.test",
        "attempt": 1,
        "delay": 0.5,
        "reply": "250 ok",
        "pixel": True,
        "links": [7],
    }
    record = log_record("message.delivered", "info", {**fields, "metadata": {"traceparent": TRACE}}, 1_800_000_000.25)
    assert record["timeUnixNano"] == "1800000000250000000"
    assert (record["severityNumber"], record["severityText"], record["eventName"]) == (9, "INFO", "message.delivered")
    assert record["body"] == {"stringValue": "message.delivered ada@reader.test 250 ok"}
    assert (record["traceId"], record["spanId"]) == (TRACE[3:35], TRACE[36:52])
    values = {one["key"]: one["value"] for one in record["attributes"]}
    assert values["attempt"] == {"intValue": "1"}
    assert values["delay"] == {"doubleValue": 0.5}
    assert values["pixel"] == {"boolValue": True}
    assert values["links"] == {"arrayValue": {"values": [{"intValue": "7"}]}}
    pair = {"key": "traceparent", "value": {"stringValue": TRACE}}
    assert values["metadata"] == {"kvlistValue": {"values": [pair]}}


def test_what_json_has_no_form_for_is_text_and_nothing_is_left_out() -> None:
    odd = {"none": None, "nan": math.nan, "inf": math.inf, "large": 2**70, "bytes": b"x", "traceparent": "00-x"}
    record = log_record("store.trouble", "error", odd, 0.0)
    values = {one["key"]: one["value"] for one in record["attributes"]}
    assert set(values) == set(odd) - {"none"}
    assert all(list(one) == ["stringValue"] for one in values.values())
    assert "traceId" not in record
    assert "traceId" not in log_record("api.request", "info", {"traceparent": f"ff{TRACE[2:]}"}, 0.0)
    whole = json.loads(export_request([record], "relay.test", "1.0"))
    (logs,) = whole["resourceLogs"]
    names = {one["key"]: one["value"]["stringValue"] for one in logs["resource"]["attributes"]}
    assert names == {"service.name": "relay", "service.version": "1.0", "host.name": "relay.test"}
    assert logs["scopeLogs"][0]["logRecords"] == [record]
