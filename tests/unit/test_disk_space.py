"""Events of readers stop well before mail does, and go on when there is clearly more space."""

from pathlib import Path

import pytest

from relay.disk_space import EVENT_RESERVES, RESERVE, EventSpace, reserve_of, space_of
from relay.events.event import Event, Kind
from relay.events.shedding import Shedding

LARGE = 1 << 40


def test_the_reserve_is_an_eighth_of_a_small_disk() -> None:
    assert (reserve_of(LARGE), reserve_of(80 << 20)) == (RESERVE, 10 << 20)


def test_a_disk_is_measured_also_for_a_file_that_does_not_exist(tmp_path: Path) -> None:
    total, free = space_of(tmp_path / "none")
    assert 0 < free <= total


class Disk:
    """A disk whose free space is set."""

    def __init__(self) -> None:
        self.free: dict[str, int] = {"db": LARGE, "spool": LARGE}

    def measure(self, file: Path) -> tuple[int, int]:
        if file.name not in self.free:
            raise FileNotFoundError(file)
        return LARGE, self.free[file.name]


def test_space_is_short_above_the_reserve_of_mail_until_clearly_more_is_free() -> None:
    disk = Disk()
    space = EventSpace([Path("db"), Path("spool")], disk.measure)
    assert not space.check()
    disk.free["spool"] = EVENT_RESERVES * RESERVE - 1
    assert space.check()
    assert space.free == disk.free["spool"] > 2 * RESERVE
    disk.free["spool"] = EVENT_RESERVES * RESERVE + 1
    assert space.check(), "not yet clearly more"
    disk.free["spool"] = (EVENT_RESERVES + 1) * RESERVE
    assert not space.check()


def test_a_disk_that_cannot_be_measured_is_not_short() -> None:
    assert not EventSpace([Path("gone")], Disk().measure).check()


async def test_opens_and_clicks_are_shed_and_nothing_else() -> None:
    disk = Disk()
    lines: list[tuple[str, dict[str, object]]] = []
    shed: list[int] = []
    space = EventSpace([Path("db")], disk.measure)
    shedding = Shedding(space, lambda line, **fields: lines.append((line, fields)), shed.append)
    events = [Event(kind, 1.0, "A", 0) for kind in Kind]
    assert await shedding.affordable(events) == events

    disk.free["db"] = RESERVE
    for _ in range(2):
        kept = await shedding.affordable(events)
        assert [event.kind for event in events if event not in kept] == [Kind.OPEN, Kind.CLICK]
    assert shed == [2, 2]
    disk.free["db"] = LARGE
    assert await shedding.affordable(events) == events
    assert lines == [("events.shed", {"free": RESERVE}), ("events.shed_ended", {"events": 4, "free": LARGE})]


@pytest.mark.parametrize("total", [100 << 20, 1 << 30, LARGE])
def test_events_stop_before_mail_of_the_usual_size(total: int) -> None:
    reserve = reserve_of(total)
    assert EVENT_RESERVES * reserve >= reserve + min(2 * (25 << 20), 2 * reserve)
