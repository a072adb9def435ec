"""The canary and what its answers mean: values in, values out."""

import pytest

from relay.rewrite.tokens import Keyring, Kind, verify_token
from relay.tracker.canary import (
    MAX_FAILURES,
    BaseUrlState,
    all_up,
    answered,
    canary,
    failed,
    is_canary,
    link_fault,
    pixel_fault,
)

RING = Keyring((("k1", bytes(32)),))

BASE = "https://t.acme.test"

NOW = 1_800_000_000.0


def test_a_canary_is_a_link_and_a_pixel_of_no_message() -> None:
    sent = canary(RING, BASE, 7)
    assert sent.target == "https://t.acme.test/robots.txt?canary=7"
    for url, kind in ((sent.link, Kind.CLICK), (sent.pixel, Kind.OPEN)):
        token = verify_token(RING, kind, url.removeprefix(f"{BASE}/{kind}/"))
        assert token is not None
        assert is_canary(token)
    assert canary(RING, BASE, 8).link != sent.link


def test_the_target_of_an_international_host_is_compared_as_it_is_sent() -> None:
    assert canary(RING, "https://t.bücher.test", 1).target == "https://t.xn--bcher-kva.test/robots.txt?canary=1"


@pytest.mark.parametrize(
    ("status", "target", "fault"),
    [
        (302, "https://t.acme.test/robots.txt?canary=7", ""),
        (301, "https://t.acme.test/robots.txt?canary=7", "answers a link with 301"),
        (200, "", "answers a link with 200"),
        (404, "", "answers a link with 404"),
        (302, "https://www.acme.test/", "redirects a link to another target"),
        (302, "", "redirects a link to another target"),
    ],
)
def test_only_this_tracker_can_read_the_target(status: int, target: str, fault: str) -> None:
    found = link_fault(canary(RING, BASE, 7), status, target)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def test_the_pixel_is_an_image() -> None:
    assert pixel_fault(200, "image/gif") == ""
    assert pixel_fault(200, "text/html") == "answers a pixel with 200 text/html"
    assert pixel_fault(503, "") == "answers a pixel with 503"


def test_a_base_url_that_worked_is_down_after_two_failures() -> None:
    once = failed(BaseUrlState(BASE, proven=True), "does not answer", NOW)
    assert (once.broken, once.down) == (True, False)
    twice = failed(once, "answers 502", NOW + 10)
    assert (twice.broken, twice.down, twice.failing_since, twice.why) == (True, True, NOW, "answers 502")
    assert not all_up([BaseUrlState("https://other.test"), twice])
    assert answered(twice) == BaseUrlState(BASE, proven=True)
    assert not failed(answered(once), "again", NOW).down


def test_a_base_url_that_never_worked_is_never_down() -> None:
    host = BaseUrlState(BASE)
    for _ in range(2 * MAX_FAILURES):
        host = failed(host, "does not answer", NOW)
    assert not host.down
    assert not host.broken
    assert all_up([host])
