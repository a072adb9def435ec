"""Requests a minute of each credential."""

from relay.api.request_rates import RequestRates


def test_a_credential_has_its_requests_a_minute_and_gets_them_back_in_time() -> None:
    rates = RequestRates()
    assert [rates.take("shop", 3, 100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]
    assert rates.take("other", 3, 100.0) == 0.0
    assert rates.take("shop", 3, 119.0) > 0
    assert rates.take("shop", 3, 120.1) == 0.0
    assert [rates.take("shop", 3, 1e6) for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]


def test_a_lower_limit_holds_at_once() -> None:
    rates = RequestRates()
    rates.take("shop", 600, 0.0)
    assert rates.take("shop", 1, 0.0) == 0.0
    assert rates.take("shop", 1, 0.0) == 60.0
