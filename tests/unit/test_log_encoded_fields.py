"""Fields that are encoded once: log, store and spool write what they would write of plain fields."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.app.event_lines import log_line
from relay.events.event import Event, Kind
from relay.events.event_line import encode_event
from relay.log.encoded_fields import EncodedFields, EncodedLine, encoded
from relay.log.formats import as_console, as_json, as_postfix
from relay.storage.json_columns import encode_object
from relay.tracker.client import parse_client
from relay.tracker.reader_events import reader_fields

USER_AGENTS = st.sampled_from(
    ["", "Mozilla/5.0", 'q"\\uote', "\xe4\u20ac", "GoogleImageProxy", "Barracuda Sentinel (EE)"]
)


@given(
    st.sampled_from([Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE]),
    st.integers(0, 2**64 - 1),
    st.text(),
    USER_AGENTS,
    st.dictionaries(st.sampled_from(["target", "blocked", "by"]), st.text()),
    st.sampled_from(["GET", "HEAD"]),
)
def test_every_writer_writes_the_same(
    kind: Kind, number: int, address: str, user_agent: str, more: dict[str, str], method: str
) -> None:
    client = parse_client(method, {"User-Agent": user_agent})
    data = reader_fields(number, kind, address, client, encoded(more))
    assert isinstance(data, EncodedFields)
    assert (
        json.loads(f"{{{data.members}}}")
        == data
        == {
            "id": f"{number:016x}",
            **more,
            "client": address,
            **client.event_fields(kind),
        }
    )

    for queue_id in ("0ABCDFGHJKLMNP", 'q"'):
        quick = Event(kind, 1_764_000_000.25, queue_id, 3, "a\xe4@x.example", data)
        plain = Event(kind, 1_764_000_000.25, queue_id, 3, "a\xe4@x.example", dict(data))
        assert encode_event(quick) == encode_event(plain)
        assert encode_object(quick.data) == encode_object(plain.data)
        for form in as_console, as_postfix, as_json:
            (name, fields), (plain_name, plain_fields) = log_line(quick), log_line(plain)
            assert without_time(form(name, "info", fields)) == without_time(form(plain_name, "info", plain_fields))


def without_time(line: str) -> str:
    return line.partition("message.")[2]


@pytest.mark.parametrize("labels", [{"campaign": "spring"}, {"tags": ("a", "b")}])
def test_labels_are_behind_the_fields(labels: dict[str, object]) -> None:
    data = reader_fields(7, Kind.OPEN, "192.0.2.1", parse_client("GET", {"User-Agent": "x"}), encoded({}))
    name, fields = log_line(Event(Kind.OPEN, 1.0, "0ABCDFGHJKLMNP", 0, "a@x.example", data, labels))
    line = json.loads(as_json(name, "info", fields))
    assert line["client"] == "192.0.2.1"
    assert set(labels) <= set(line)


def test_a_line_of_an_event_without_fields_is_json() -> None:
    line = EncodedLine("A", "u@x.test", encoded({}))
    assert json.loads(f"{{{line.members}}}") == {"queue_id": "A", "recipient": "u@x.test"} == dict(line)
