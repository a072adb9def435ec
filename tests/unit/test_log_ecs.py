"""Lines in the Elastic Common Schema."""

import io
import json
from typing import Any

from relay.config.settings import Settings
from relay.log import make_log
from relay.policy.dialect_rules import dialect_rules
from relay.policy.message_facts import parse_facts

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def written(line: str, **fields: object) -> dict[str, Any]:
    stream = io.StringIO()
    make_log(stream, "ecs")(line, **fields)
    found: dict[str, Any] = json.loads(stream.getvalue())
    return found


def test_a_delivery_has_the_members_of_the_schema() -> None:
    line = written(
        "message.delivered",
        queue_id="06FJ3K9Q2M0A7C",
        recipient="ada@reader.test",
        remote="mx.reader.test[192.0.2.1]:25",
        reply="250 2.0.0 ok",
        delay=1.25,
        lane="mx:reader.test",
        metadata={"traceparent": TRACE, "invoice": "1042"},
    )
    assert line["event"] == {
        "action": "message.delivered",
        "dataset": "relay.log",
        "module": "relay",
        "outcome": "success",
        "duration": 1_250_000_000,
    }
    assert line["email"] == {"local_id": "06FJ3K9Q2M0A7C", "to": {"address": ["ada@reader.test"]}}
    assert line["destination"] == {"address": "mx.reader.test[192.0.2.1]:25"}
    assert (line["trace"], line["span"]) == ({"id": TRACE[3:35]}, {"id": TRACE[36:52]})
    assert line["relay"]["lane"] == "mx:reader.test"
    assert (line["log.level"], line["message"]) == ("info", "message.delivered ada@reader.test 250 2.0.0 ok")


def test_the_trace_of_a_request_gives_way_to_that_of_the_mail() -> None:
    of_request = f"00-{'a' * 32}-{'b' * 16}-01"
    assert written("api.request", traceparent=of_request)["trace"] == {"id": "a" * 32}
    of_mail = written("message.open", traceparent=of_request, metadata={"traceparent": TRACE})
    assert of_mail["trace"] == {"id": TRACE[3:35]}
    of_neither = written("message.open", traceparent=f"ff{of_request[2:]}", metadata={"traceparent": f"ff{TRACE[2:]}"})
    assert "trace" not in of_neither
    without_own = written("message.open", traceparent=of_request, metadata={"traceparent": "none"})
    assert without_own["trace"] == {"id": "a" * 32}


def test_text_from_outside_forges_no_line_and_no_trace() -> None:
    stream = io.StringIO()
    make_log(stream, "ecs")("store.trouble", error="full\n{}", metadata={"traceparent": "00-x"})
    assert stream.getvalue().count("\n") == 1
    line = json.loads(stream.getvalue())
    assert line["error"]["message"] == "full\n{}"
    assert "trace" not in line


def test_the_schema_is_one_of_json_alone() -> None:
    assert Settings.model_validate({"log": {"schema": "ecs"}}).log.form == "ecs"
    assert Settings.model_validate({"log": {"schema": "ecs", "format": "console"}}).log.form == "console"
    assert Settings().log.form == "json"


def test_the_trace_of_a_mail_is_metadata() -> None:
    content = f"From: a@acme.test\r\ntraceparent: {TRACE}\r\n\r\nHello\r\n".encode()
    facts = parse_facts(content, dialect_rules(Settings(), ""))
    assert facts.instructions.metadata == {"traceparent": TRACE}
    twice = parse_facts(b"traceparent: %b\r\n" % TRACE.encode() + content, dialect_rules(Settings(), ""))
    assert not twice.instructions.metadata, "of two none can be trusted"
