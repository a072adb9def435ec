"""What the observer tells the operator: failures that waiting does not mend, and none that an alert itself met with."""

from typing import Any

import pytest

from relay.dsn.taxonomy import TAXONOMY
from relay.events.event import Event, Kind
from relay.observer import Observer
from relay.queue.alert_mail import Alert

FAILED: dict[str, object] = {"domain": "acme.test", "reply": "550 5.7.26 no DMARC", "remote": "mx.x.test[192.0.2.1]:25"}


def told(*events: Event) -> list[Alert]:
    alerts: list[Alert] = []

    def log(_event: str, /, **_fields: Any) -> None:
        pass

    observer = Observer(log, lambda: 1000.0)
    observer.tell = alerts.append
    observer.publish(events)
    return alerts


def failed(category: str, kind: Kind = Kind.BOUNCED, **more: object) -> Event:
    return Event(kind, 1000.0, "A", 0, "u@x.test", FAILED | {"category": category} | more)


@pytest.mark.parametrize("kind", [Kind.BOUNCED, Kind.DEFERRED])
@pytest.mark.parametrize("category", ["auth_failed", "bad_rdns", "virus"])
def test_what_lies_with_us_is_told(category: str, kind: Kind) -> None:
    (alert,) = told(failed(category, kind))
    assert alert.cause == f"refused: {category} acme.test"
    assert TAXONOMY[category].title in alert.subject
    for part in ("550 5.7.26 no DMARC", "mx.x.test", "relay trace A", TAXONOMY[category].guidance[0]):
        assert part in alert.text


def test_what_lies_elsewhere_is_not() -> None:
    assert not told(*(failed(name) for name, about in TAXONOMY.items() if not about.alert))
    assert not told(failed(""), Event(Kind.DELIVERED, 1000.0, "A", 0, "u@x.test", dict(FAILED)))


def test_an_alert_that_is_refused_itself_makes_no_other() -> None:
    assert not told(failed("auth_failed", alert="refused: auth_failed acme.test"))


def test_the_categories_whose_action_is_to_alert_do() -> None:
    assert {name for name, about in TAXONOMY.items() if about.alert} == {"auth_failed", "bad_rdns", "virus"}
    pausing = {name for name, about in TAXONOMY.items() if about.lane in ("pause", "pause-provider")}
    assert pausing == {"blocked", "bad_rdns", "credentials"}, "a lane that pauses is told of by itself"
