"""An event written as a line comes back the same; nothing else passes for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events.event import Event, Kind
from relay.events.spool import decode_event, encode_event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


EVENTS = st.builds(
    Event,
    kind=st.sampled_from(Kind),
    at=st.floats(0, 2**40),
    queue_id=st.text(max_size=20),
    number=st.integers(0, 2**28),
    address=st.text(max_size=40),
    data=st.dictionaries(st.text(), JSON, max_size=4),
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
