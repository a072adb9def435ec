"""Frozen dataclasses without the check at run time: hash, equality and copies are those of `dataclasses`."""

import copy
import dataclasses
import pickle

from relay.frozen import dataclass
from relay.mail.reply import Reply


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


def test_copies_are_equal() -> None:
    reply = Reply(250, "2.0.0", "ok")
    assert copy.deepcopy(reply) == pickle.loads(pickle.dumps(reply)) == reply
