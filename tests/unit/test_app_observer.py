"""What the observer tells the operator: failures that waiting does not mend, and none that an alert itself met with."""

from io import StringIO

import pytest

from relay.app.alerts import Alert
from relay.app.observer import UNDER_WAY, Observer
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.log import Log

FAILED: dict[str, object] = {"domain": "acme.test", "reply": "550 5.7.26 no DMARC", "remote": "mx.x.test[192.0.2.1]:25"}


def told(*events: Event) -> list[Alert]:
    alerts: list[Alert] = []
    observer = Observer(Log(StringIO(), "json"), lambda: 1000.0)
    observer.send_alert = alerts.append
    observer.publish(events)
    return alerts


def failed(category: str, kind: Kind = Kind.BOUNCED, **more: object) -> Event:
    return Event(kind, 1000.0, "A", 0, "u@x.test", FAILED | {"category": category} | more)


@pytest.mark.parametrize("kind", [Kind.BOUNCED, Kind.DEFERRED])
@pytest.mark.parametrize("category", ["auth_failed", "bad_rdns", "virus"])
def test_what_lies_with_us_is_told(category: str, kind: Kind) -> None:
    (alert,) = told(failed(category, kind))
    assert alert.cause == f"refused: {category} acme.test"
    assert CATEGORIES[category].title in alert.subject
    for part in ("550 5.7.26 no DMARC", "mx.x.test", "relay trace A", CATEGORIES[category].guidance[0]):
        assert part in alert.text


def test_what_lies_elsewhere_is_not() -> None:
    assert not told(*(failed(name) for name, about in CATEGORIES.items() if not about.alert))
    assert not told(failed(""), Event(Kind.DELIVERED, 1000.0, "A", 0, "u@x.test", dict(FAILED)))


def test_an_alert_that_is_refused_itself_makes_no_other() -> None:
    assert not told(failed("auth_failed", alert="refused: auth_failed acme.test"))


def test_the_categories_whose_action_is_to_alert_do() -> None:
    assert {name for name, about in CATEGORIES.items() if about.alert} == {"auth_failed", "bad_rdns", "virus"}
    pausing = {name for name, about in CATEGORIES.items() if about.lane in ("pause", "pause-provider")}
    assert pausing == {"blocked", "bad_rdns", "credentials"}, "a lane that pauses is told of by itself"


def test_events_are_counted_and_only_deliveries_have_a_delay() -> None:
    observer = Observer(Log(StringIO(), "json"), lambda: 1000.0)
    opened = Event(Kind.OPEN, 1000.0, "A", 0, data={"client": "192.0.2.1"})
    delivered = Event(Kind.DELIVERED, 1000.0, "A", 0, "u@x.test", {"delay": 0.7})
    observer.publish([opened, delivered, opened, failed("unknown", Kind.DEFERRED, delay=3.0)])
    text = observer.metrics.exposition().decode()
    assert 'relay_events_total{kind="open"} 2.0' in text
    assert "relay_delivery_delay_seconds_count 1.0" in text
    assert observer.last_hour.sums(1000.0) == {"open": 2, "delivered": 1, "deferred": 1}


@pytest.mark.parametrize(("kind", "mail"), [(Kind.OPEN, False), (Kind.CLICK, False), (Kind.CREATED, True)])
def test_mail_is_under_way_for_a_moment_after_something_happened_to_a_message(kind: Kind, mail: bool) -> None:
    now = [1000.0]
    observer = Observer(Log(StringIO(), "json"), lambda: now[0])
    assert not observer.mail_is_under_way()
    observer.publish([Event(kind, 1000.0, "A", 0)])
    assert observer.mail_is_under_way() is mail
    now[0] += UNDER_WAY
    assert not observer.mail_is_under_way()
    now[0] -= 3600
    assert not observer.mail_is_under_way(), "a clock that was set back keeps nobody waiting"
