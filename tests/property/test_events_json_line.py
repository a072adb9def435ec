"""An event written as a line comes back the same; nothing else passes for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events.event import READER_KINDS, Event, Kind
from relay.events.event_line import MAX_NUMBER, MAX_TIME, decode_event, encode_event

NAME = st.text().filter(lambda name: not name.endswith("_at"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-(2.0**62), 2.0**62) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=8,
)

EVENTS = st.builds(
    Event,
    kind=st.sampled_from(sorted(READER_KINDS)),
    at=st.floats(0, MAX_TIME),
    queue_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
    number=st.integers(0, MAX_NUMBER),
    address=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40),
    data=st.dictionaries(NAME, JSON, max_size=4),
)


@given(EVENTS)
def test_an_event_comes_back_the_same_and_fits_one_line(event: Event) -> None:
    line = encode_event(event)
    assert line.index(b"\n") == len(line) - 1
    assert decode_event(line) == event


@given(EVENTS, st.data())
def test_a_torn_line_is_never_taken_for_an_event(event: Event, data: st.DataObject) -> None:
    line = encode_event(event).rstrip(b"\n")
    with pytest.raises(ValueError):
        decode_event(line[: data.draw(st.integers(0, len(line) - 1))])


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_else_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode_event(line)


@pytest.mark.parametrize("field", ["kind", "at", "queue_id", "recipient", "address", "data"])
def test_a_field_that_is_missing_or_of_another_type_is_a_value_error(field: str) -> None:
    fields = json.loads(encode_event(Event(Kind.OPEN, 1.5, "Q", 0)))
    for wrong in ({**fields, field: [1]}, {name: value for name, value in fields.items() if name != field}):
        with pytest.raises(ValueError):
            decode_event(json.dumps(wrong).encode())


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("kind", ["delivered", "created", "opened"]),
        ("at", [float("nan"), float("inf"), -1, 1.8e12, 10**400, True]),
        ("queue_id", ["", "A B", "A\0", "\ud800", "Ä", "A" * 65]),
        ("recipient", [-1, 2**31, 10**30, True]),
        ("address", ["a\nb@x.test", "\udcff@x.test", "a" * 513]),
        ("data", [{"a": float("nan")}, {"b": ["\ud800"]}, {"\ud800": 1}, {"c": 10**30}, {"last_at": 1.8e12}]),
        ("data", [json.loads('{"a":' * 40 + "1" + "}" * 40)]),
    ],
)
def test_a_value_that_no_store_holds_or_no_report_shows_is_a_value_error(field: str, values: list[object]) -> None:
    fields = json.loads(encode_event(Event(Kind.OPEN, 1.5, "Q", 0)))
    for value in values:
        with pytest.raises(ValueError):
            decode_event(json.dumps({**fields, field: value}).encode())


def test_a_line_longer_than_any_event_is_refused() -> None:
    line = b'{"kind":"click","at":5,"queue_id":"Q","recipient":0,"address":"","data":{"x":"%s"}}' % (b"y" * 300_000)
    with pytest.raises(ValueError, match="more than the 262144 of an event"):
        decode_event(line)
