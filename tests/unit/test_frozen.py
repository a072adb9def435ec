"""Frozen dataclasses without the check at run time: hash, equality and copies are those of `dataclasses`."""

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from relay.frozen import dataclass, replace
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.render.message_policy import MessagePolicy


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Other:
    x: int
    y: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    x: int


def test_it_is_a_frozen_dataclass_but_for_the_check() -> None:
    point, other = Point(1, (2,)), Other(1, (2,))
    assert hash(point) == hash(other)
    assert repr(point) == repr(other).replace("Other", "Point")
    assert point == Point(1, (2,)) != Point(1)
    assert dataclasses.replace(point, x=3) == Point(3, (2,))
    assert dataclasses.asdict(point) == dataclasses.asdict(other)
    assert not hasattr(point, "__dict__")


def test_keys_are_compared_by_identity() -> None:
    one, other = Key(1), Key(1)
    assert one != other
    assert len({one, other}) == 2


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (MessagePolicy(domain="x.test", copies=(1,)), {"identity": "a@x.test", "added_fields": b"A: b\r\n"}),
        (Entry("0A", 0, "u@x.test", "mx:x.test", 0.0, 1.0, 0.0, notify=("NEVER",)), {"state": State.ACTIVE}),
        (Reply(250, "", "ok"), {}),
    ],
)
def test_replace_does_what_that_of_dataclasses_does(value: Any, changes: dict[str, Any]) -> None:
    assert replace(value, **changes) == dataclasses.replace(value, **changes)
    with pytest.raises((KeyError, TypeError)):
        replace(value, unknown=1)


def test_copies_are_equal() -> None:
    reply = Reply(250, "2.0.0", "ok")
    assert copy.deepcopy(reply) == pickle.loads(pickle.dumps(reply)) == reply
