"""Three nodes on one PostgreSQL share the connections and the rate of a site."""

from pathlib import Path
from typing import cast

import pytest

from relay.queue.context import QueueContext
from relay.queue.shared_rates import SharedRates
from relay.queue.site import Site
from relay.queue.site_rates import SiteRates
from relay.storage.postgres.store import PostgresStore
from tests.contract.values import NOW
from tests.integration.cluster import Cluster
from tests.servers.waiting import until


class Node:
    """A node: its store, and the rates of its process."""

    def __init__(self, store: PostgresStore) -> None:
        self.now = NOW
        self.sites = store.sites
        self.nodes = store.nodes
        self.rates = SiteRates(lambda: store.nodes.share)
        self.shared = SharedRates(cast("QueueContext", self))

    def clock(self) -> float:
        return self.now


@pytest.fixture
async def three(cluster: Cluster) -> list[Node]:
    stores = [await cluster.node(name) for name in "abc"]
    await until(lambda: all(store.nodes.share.nodes == 3 for store in stores))
    return [Node(store) for store in stores]


@pytest.mark.parametrize("most", [1, 2, 5, 10])
async def test_the_connections_of_all_nodes_are_those_of_the_site(three: list[Node], most: int) -> None:
    for name in ("google", "mx1.a.test,mx2.a.test", "192.0.2.1"):
        site = Site(name, "192.0.2.1", connections=most)
        for node in three:
            node.rates.admit("mx:a.test", site, None, NOW)
            for _ in range(200):
                node.rates.accepted("mx:a.test", NOW, NOW)
        assert sum(node.rates.connections(name, most) for node in three) == most
        left = [node.rates.waiting_lanes(NOW) == ["mx:a.test"] for node in three]
        assert left.count(False) == min(most, 3), "the others leave the lane to them"


async def test_what_one_node_found_the_others_use_and_a_new_one_reads(
    three: list[Node], cluster: Cluster, tmp_path: Path
) -> None:
    site = Site("google", "192.0.2.1", connections=9)
    for node in three:
        node.rates.admit("mx:a.test", site, None, NOW)
    first = three[0]
    for _ in range(20):
        first.rates.accepted("mx:a.test", NOW, NOW)
    first.rates.slowed("mx:a.test", NOW, NOW, "421 slow down")
    for node in three:
        await node.shared.exchange()
    assert [node.rates.admit("mx:a.test", site, None, NOW + 1) for node in three] == [False] * 3
    late = Node(await cluster.node("late"))
    await late.shared.load()
    traffic = late.rates.traffic("google")
    assert traffic is not None
    assert traffic.rate is not None
    assert traffic.rate.found == 60, "a third of the nodes saw a third of the accepted messages"
