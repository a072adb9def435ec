"""The sites in use: what a claim may take, whether a message may leave, and the parts of several nodes."""

import pytest

from relay.queue.nodes import NodeShare
from relay.queue.site import NO_SITE_LIMITS, Site
from relay.queue.site_rate import SiteRate
from relay.queue.site_rates import IDLE, SiteRates
from tests.unit.receivers import FixedWindow, send_by_nodes

NOW = 1_800_000_000.0

SITE = Site("big", "192.0.2.1", connections=5)

BOUND = Site("bound", "192.0.2.2", connections=5, rate=60.0)


def slow(rates: SiteRates, lane: str, site: Site, now: float = NOW) -> None:
    assert rates.admit(lane, site, None, now)
    for _ in range(40):
        rates.accepted(lane, now, now)
    for _ in range(3):
        rates.slowed(lane, now, now, "421 slow down")


def test_a_site_without_a_rate_limits_nothing() -> None:
    rates = SiteRates()
    for _ in range(1000):
        assert rates.admit("mx:a.test", SITE, None, NOW)
        rates.accepted("mx:a.test", NOW, NOW)
    assert rates.claim_limits(NOW) is NO_SITE_LIMITS
    assert rates.permit("mx:a.test", 1, NOW) is None
    assert rates.next_release(NOW) is None
    assert rates.waiting_lanes(NOW) == []


def test_a_new_site_gets_five_connections_and_more_with_accepted_messages() -> None:
    rates = SiteRates()
    rates.admit("mx:a.test", SITE, None, NOW)
    assert rates.connections("big", 10) == 5
    for _ in range(40):
        rates.accepted("mx:a.test", NOW, NOW)
    assert rates.connections("big", 10) == 10
    assert rates.connections("other", 10) == 10, "a site that is not in use"


def test_all_lanes_of_a_slow_site_wait_and_those_of_others_do_not() -> None:
    rates = SiteRates()
    for lane in ("mx:a.test", "mx:b.test"):
        rates.admit(lane, SITE, None, NOW)
    rates.admit("mx:c.test", Site("other", "192.0.2.9", connections=5), None, NOW)
    slow(rates, "mx:a.test", SITE)

    limits = rates.claim_limits(NOW)
    assert {limits.group_of[lane] in limits.free for lane in ("mx:a.test", "mx:b.test")} == {True}
    assert limits.group_of["mx:c.test"] not in limits.free
    assert sorted(rates.waiting_lanes(NOW)) == ["mx:a.test", "mx:b.test"]
    assert not rates.admit("mx:b.test", SITE, None, NOW + 1)
    assert rates.admit("mx:c.test", Site("other", "192.0.2.9", connections=5), None, NOW + 1)
    assert rates.next_release(NOW) == NOW + 10
    assert rates.admit("mx:b.test", SITE, None, NOW + 10)


def test_another_site_at_the_same_address_waits_too() -> None:
    """Hosting companies give one address many names."""
    rates = SiteRates()
    twin = Site("twin,backup", SITE.address, connections=5)
    rates.admit("mx:twin.test", twin, None, NOW)
    slow(rates, "mx:a.test", SITE)
    assert not rates.admit("mx:twin.test", twin, None, NOW + 1)
    assert rates.admit("mx:twin.test", Site("twin,backup", "192.0.2.77", connections=5), None, NOW + 1)


def test_a_permit_of_the_claim_admits_unless_the_site_asked_to_slow_down_since() -> None:
    rates = SiteRates()
    rates.admit("mx:a.test", BOUND, None, NOW)
    permit = rates.permit("mx:a.test", 3, NOW + 60)
    assert permit is not None
    assert permit.left == 1, "60 a minute are one a second"
    assert rates.admit("mx:a.test", BOUND, permit, NOW + 60)
    assert not rates.admit("mx:a.test", BOUND, permit, NOW + 60)

    permit = rates.permit("mx:a.test", 1, NOW + 62)
    assert permit is not None
    rates.slowed("mx:a.test", NOW + 62, NOW + 63, "421 slow down")
    assert not rates.admit("mx:a.test", BOUND, permit, NOW + 63)


def test_a_bound_of_the_profile_holds_without_any_reply() -> None:
    rates = SiteRates()
    sent, now = 0, NOW
    while now < NOW + 600:
        if rates.admit("mx:a.test", BOUND, None, now):
            rates.accepted("mx:a.test", now, now)
            sent += 1
        now += 0.2
    assert sent == pytest.approx(600, rel=0.02)


def test_changes_are_reported_once_for_each_state() -> None:
    rates = SiteRates()
    slow(rates, "mx:a.test", SITE)
    now = NOW
    for _ in range(5):
        now += 61
        rates.admit("mx:a.test", SITE, None, now)
        rates.slowed("mx:a.test", now, now, "421 slow down")
    now += 61
    rates.admit("mx:a.test", SITE, None, now)
    rates.accepted("mx:a.test", now, now)
    assert [(one.kind, one.site) for one in rates.changes] == [
        ("slowed", "big"),
        ("probed", "big"),
        ("recovered", "big"),
    ]


def test_three_nodes_share_the_connections_and_the_rate_of_a_site() -> None:
    for connections in (2, 10):
        site = Site("big", "192.0.2.1", connections=connections)
        nodes = [SiteRates(lambda rank=rank: NodeShare(rank, 3)) for rank in range(3)]  # type: ignore[misc]
        result = send_by_nodes(FixedWindow(20), nodes, site, minutes=15)
        assert result.share_slowed < 0.07
        assert result.per_minute(5, 15) <= 20
        assert result.per_minute(5, 15) > 15


def test_a_node_without_a_connection_of_a_site_leaves_its_lanes_to_the_others() -> None:
    site = Site("big", "192.0.2.1", connections=1)
    nodes = [SiteRates(lambda rank=rank: NodeShare(rank, 3)) for rank in range(3)]  # type: ignore[misc]
    admitted = [rates.admit("mx:a.test", site, None, NOW) for rates in nodes]
    assert sorted(admitted) == [False, False, True]
    for may, rates in zip(admitted, nodes, strict=True):
        assert rates.waiting_lanes(NOW) == ([] if may else ["mx:a.test"])


def test_a_node_that_the_others_do_not_know_yet_sends_nothing() -> None:
    rates = SiteRates(lambda: NodeShare(0, 0))
    assert not rates.admit("mx:a.test", SITE, None, NOW)
    assert rates.waiting_lanes(NOW) == ["mx:a.test"]


def test_what_the_store_has_is_used_unless_something_later_was_found() -> None:
    rates = SiteRates()
    rates.admit("mx:a.test", SITE, None, NOW)
    rates.use_stored("big", SiteRate(20.0, NOW, 5, changed_at=NOW, not_before=NOW + 50))
    assert not rates.admit("mx:a.test", SITE, None, NOW + 1)
    slow(rates, "mx:b.test", SITE, NOW + 100)
    rates.use_stored("big", SiteRate(99.0, NOW, 5, changed_at=NOW))
    traffic = rates.traffic("big")
    assert traffic is not None
    assert traffic.rate is not None
    assert traffic.rate.changed_at == NOW + 100
    rates.unsaved()
    rates.use_stored("big", None)
    assert traffic.rate is None


def test_idle_lanes_and_sites_are_forgotten_and_rates_stay() -> None:
    rates = SiteRates()
    rates.admit("mx:other.test", Site("other", "192.0.2.9", connections=5), None, NOW)
    slow(rates, "mx:a.test", SITE)
    rates.forget_idle(NOW + IDLE + 1)
    assert rates.site_of("mx:a.test") is None
    assert sorted(rates.rates()) == ["address 192.0.2.1", "big"]
    assert rates.claim_limits(NOW + IDLE + 1) is NO_SITE_LIMITS
    rates.admit("mx:a.test", SITE, None, NOW + IDLE + 2)
    assert rates.claim_limits(NOW + IDLE + 2).free


def test_what_the_store_did_not_take_is_written_later_even_if_its_site_is_idle() -> None:
    rates = SiteRates()
    slow(rates, "mx:a.test", SITE)
    rates.unsaved()
    for step in range(1, 200):
        rates.accepted("mx:a.test", NOW + step, NOW + step)
    unsaved = {one.key: one for one in rates.unsaved()}
    assert unsaved["big"].use > 0
    rates.not_saved(list(unsaved.values()))
    assert {one.key: one for one in rates.unsaved()} == unsaved

    rates.age(NOW + 8 * 86400.0)
    ended = rates.unsaved()
    assert {one.rate for one in ended} == {None}
    rates.not_saved(ended)
    rates.forget_idle(NOW + 8 * 86400.0)
    assert rates.unsaved() == ended


def test_a_step_of_the_clock_keeps_the_remaining_wait() -> None:
    rates = SiteRates()
    slow(rates, "mx:a.test", SITE)
    rates.clock_set(-3600)
    assert not rates.admit("mx:a.test", SITE, None, NOW - 3600 + 9)
    assert rates.admit("mx:a.test", SITE, None, NOW - 3600 + 10)
