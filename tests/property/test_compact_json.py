"""The prepared encoder writes what `json` writes."""

import json
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import compact_json
from relay.compact_json import json_encoder


class Kind(StrEnum):
    DELIVERED = "delivered"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(Kind.DELIVERED),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_it_writes_what_json_writes(value: object) -> None:
    assert json_encoder()(value) == json.dumps(value, separators=(",", ":"))


@given(st.dictionaries(st.text(), VALUES | st.datetimes().map(lambda at: at.replace(tzinfo=UTC)) | st.binary()))
def test_other_values_are_replaced(value: dict[str, object]) -> None:
    assert json_encoder(str)(value) == json.dumps(value, separators=(",", ":"), default=str)


def test_a_value_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="datetime"):
        json_encoder()({"at": datetime.now(UTC)})


def test_an_interpreter_without_the_encoder_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_json, "_make", None)
    assert json_encoder(str)({"a": [1, b"x"]}) == '{"a":[1,"b\'x\'"]}'
