"""Hosts that look like numbers, as the URL standard has them."""

import pytest

from relay.rewrite.links import is_refused


@pytest.mark.parametrize(
    "host",
    ["example.com", "1.example", "127.1", "127.0.0.1", "0x7f.1", "0x100", "2130706433", "0177.0.0.1", "1.2.3.4.", "0x"],
)
def test_hosts_that_browsers_accept_are_taken(host: str) -> None:
    assert not is_refused(host)


@pytest.mark.parametrize(
    "host", ["0x100.2.3.4", "0x100.2.3.4.", "1.2.3.4.5", "256.1", "1.2.3.256", "4294967296", "foo.0x4", "08.1", "a.09"]
)
def test_hosts_that_browsers_refuse_are_refused(host: str) -> None:
    assert is_refused(host)
