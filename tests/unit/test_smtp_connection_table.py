"""Which connections the table of all listeners lets in, and which one gives way."""

import math
from dataclasses import dataclass, field

import pytest

from relay.config.settings import Listener, Smtp
from relay.mail.reply import Reply
from relay.smtp.connection_table import TOO_MANY, TOO_MANY_FROM_YOU, ConnectionTable, guaranteed_parts


@dataclass(eq=False)
class Peer:
    """A connection: how long it has waited for its client, and what it was closed with."""

    waits_since: float = 0.0
    is_stranger: bool = True
    displaced: list[Reply] = field(default_factory=list)

    def displace(self, reply: Reply) -> None:
        self.displaced.append(reply)


def listener(name: str, reserved: int = 0) -> Listener:
    return Listener(name=name, address="127.0.0.1:0", reserved_connections=reserved)


class Lab:
    """A table with the listeners "app" and "mx"."""

    def __init__(self, most: int, reserved: int = 0, per_client: int = 1000) -> None:
        self.table = ConnectionTable()
        self.smtp = Smtp(max_connections=most, max_connections_per_client=per_client)
        self.networks = 0
        for name in ("app", "mx"):
            self.table.add_listener(listener(name, reserved))

    def enter(self, where: str, peer: Peer, network: str = "") -> Reply | None:
        self.networks += 1
        return self.table.enter(peer, where, network or str(self.networks), self.smtp)

    def fill(self, where: str, count: int, *, is_stranger: bool = True) -> list[Peer]:
        peers = [Peer(waits_since=number, is_stranger=is_stranger) for number in range(count)]
        assert [self.enter(where, one) for one in peers] == [None] * count
        return peers


@pytest.mark.parametrize(
    ("most", "reserved", "parts"),
    [
        (1000, (0, 0), {"0": 250, "1": 250}),
        (1000, (0,), {"0": 500}),
        (1000, (900, 0), {"0": 900, "1": 50}),
        (3, (0, 0), {"0": 0, "1": 0}),
        (2, (5, 0), {"0": 5, "1": 0}),
    ],
)
def test_parts_are_those_configured_and_half_of_the_rest(
    most: int, reserved: tuple[int, ...], parts: dict[str, int]
) -> None:
    listeners = [listener(str(number), one) for number, one in enumerate(reserved)]
    assert guaranteed_parts(listeners, most) == parts


def test_a_listener_keeps_its_part_whatever_the_others_have() -> None:
    lab = Lab(most=8)
    lab.fill("mx", 6, is_stranger=False)
    assert lab.enter("mx", Peer(is_stranger=False)) == TOO_MANY
    lab.fill("app", 2, is_stranger=False)
    assert lab.enter("app", Peer()) == TOO_MANY
    assert (lab.table.count("mx"), lab.table.count("app"), len(lab.table)) == (6, 2, 8)


def test_the_stranger_that_waited_longest_gives_way() -> None:
    lab = Lab(most=8)
    peers = lab.fill("mx", 6)
    peers[0].waits_since = math.inf
    peers[1].is_stranger = False
    assert lab.enter("mx", Peer(waits_since=9)) is None
    assert [bool(one.displaced) for one in peers] == [False, False, True, False, False, False]
    assert lab.table.count("mx") == 6

    lab.table.leave(peers[2])
    assert lab.table.count("mx") == 6


def test_a_listener_displaces_those_above_the_part_of_another_one_only() -> None:
    lab = Lab(most=8)
    lab.fill("app", 2, is_stranger=False)
    strangers = lab.fill("mx", 6)
    for count in range(4):
        assert lab.enter("app", Peer(is_stranger=False)) is None
        assert lab.table.count("mx") == 6 - count - 1
    assert lab.enter("app", Peer(is_stranger=False)) == TOO_MANY
    assert [bool(one.displaced) for one in strangers] == [True] * 4 + [False] * 2


def test_who_is_served_or_may_send_is_not_displaced() -> None:
    lab = Lab(most=4)
    lab.fill("mx", 2, is_stranger=False)
    served = Peer(waits_since=math.inf)
    assert lab.enter("mx", served) is None
    assert lab.enter("mx", Peer()) == TOO_MANY
    assert not served.displaced


def test_the_connections_of_a_client_count_by_listener() -> None:
    lab = Lab(most=100, per_client=2)
    first = Peer()
    assert [lab.enter("mx", one, "192.0.2.1") for one in (first, Peer(), Peer())] == [None, None, TOO_MANY_FROM_YOU]
    assert lab.enter("app", Peer(), "192.0.2.1") is None
    lab.table.leave(first)
    assert lab.enter("mx", Peer(), "192.0.2.1") is None


def test_stress_begins_near_the_limit_and_ends_far_from_it() -> None:
    lab = Lab(most=16)
    peers = lab.fill("mx", 9)
    assert not lab.table.is_stressed("mx", lab.smtp, before=False)
    assert lab.table.is_stressed("mx", lab.smtp, before=True)
    assert not lab.table.is_stressed("app", lab.smtp, before=False)

    assert lab.enter("mx", Peer()) is None
    assert lab.table.is_stressed("mx", lab.smtp, before=False)
    assert not lab.table.is_stressed("app", lab.smtp, before=True), "its own part is free"
    for peer in peers[:4]:
        lab.table.leave(peer)
    assert not lab.table.is_stressed("mx", lab.smtp, before=True)
