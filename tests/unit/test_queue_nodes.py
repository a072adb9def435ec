"""The shares of nodes in a lane's connections."""

from collections import Counter

import pytest

from relay.queue.nodes import NodeShare, full_share


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
@pytest.mark.parametrize("most", [0, 1, 2, 10, 11])
def test_shares_add_up_to_the_whole(nodes: int, most: int) -> None:
    for lane in ("mx:a.test", "mx:b.test", "provider:p", "mx:münchen.test"):
        shares = [NodeShare(rank, nodes).of(lane, most) for rank in range(nodes)]
        assert sum(shares) == most
        assert max(shares) - min(shares) <= 1


def test_what_does_not_divide_goes_to_different_nodes_in_different_lanes() -> None:
    winners = Counter(
        rank for number in range(300) for rank in range(3) if NodeShare(rank, 3).of(f"mx:{number}.test", 1)
    )
    assert sum(winners.values()) == 300
    assert min(winners.values()) > 60


def test_a_node_not_yet_counted_by_others_has_no_share() -> None:
    assert NodeShare(0, 0).of("mx:a.test", 10) == 0
    assert full_share("mx:a.test", 10) == 10
