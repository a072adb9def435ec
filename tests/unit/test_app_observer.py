"""Alerts, counts and the mail-in-flight state of the observer."""

from io import StringIO

import pytest

from relay.app.alerts import Alert
from relay.app.event_lines import MAX_LABEL, MAX_LABELS, log_line
from relay.app.observer import IN_FLIGHT_SECONDS, Observer
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.log import Log
from relay.reports.tallies import NOBODY, PERSON

FAILED: dict[str, object] = {"domain": "acme.test", "reply": "550 5.7.26 no DMARC", "remote": "mx.x.test[192.0.2.1]:25"}


def alerts_for(*events: Event) -> list[Alert]:
    alerts: list[Alert] = []
    observer = Observer(Log(StringIO(), "json"), lambda: 1000.0, alerts.append)
    observer.publish(events)
    return alerts


def failed(category: str, kind: Kind = Kind.BOUNCED, **more: object) -> Event:
    return Event(kind, 1000.0, "A", 0, "u@x.test", FAILED | {"category": category} | more)


@pytest.mark.parametrize("kind", [Kind.BOUNCED, Kind.DEFERRED])
@pytest.mark.parametrize("category", ["auth_failed", "bad_rdns", "virus"])
def test_failures_that_concern_the_relay_give_an_alert(category: str, kind: Kind) -> None:
    (alert,) = alerts_for(failed(category, kind))
    assert alert.cause == f"refused: {category} acme.test"
    assert CATEGORIES[category].title in alert.subject
    for part in ("550 5.7.26 no DMARC", "mx.x.test", "relay trace A", CATEGORIES[category].guidance[0]):
        assert part in alert.text


def test_other_failures_give_no_alert() -> None:
    assert not alerts_for(*(failed(name) for name, about in CATEGORIES.items() if not about.alert))
    assert not alerts_for(failed(""), Event(Kind.DELIVERED, 1000.0, "A", 0, "u@x.test", dict(FAILED)))


def test_a_damaged_message_gives_an_alert_and_is_counted() -> None:
    alerts: list[Alert] = []
    log = StringIO()
    observer = Observer(Log(log, "json"), lambda: 1000.0, alerts.append)
    observer.publish(
        [Event(Kind.HELD, 1000.0, "A", 0, "u@x.test", {"reason": "the stored message is not what it was"})]
    )
    assert [(one.cause, one.subject) for one in alerts] == [
        ("damaged", "message A is damaged and held: the stored message is not what it was")
    ]
    assert b"relay_damaged_total 1.0" in observer.metrics.exposition()
    assert '"event":"message.held"' in log.getvalue()
    assert '"level":"error"' in log.getvalue()


def test_a_refused_alert_gives_no_alert() -> None:
    assert not alerts_for(failed("auth_failed", alert="refused: auth_failed acme.test"))


def test_the_categories_that_give_an_alert() -> None:
    assert {name for name, about in CATEGORIES.items() if about.alert} == {"auth_failed", "bad_rdns", "virus"}
    pausing = {name for name, about in CATEGORIES.items() if about.lane in ("pause", "pause-provider")}
    assert pausing == {"blocked", "bad_rdns", "credentials"}, "a pause of a lane gives its own alert"


def test_events_are_counted_and_only_deliveries_have_a_delay() -> None:
    observer = Observer(Log(StringIO(), "json"), lambda: 1000.0, list[Alert]().append)
    opened = Event(Kind.OPEN, 1000.0, "A", 0, data={"client": "192.0.2.1"})
    delivered = Event(Kind.DELIVERED, 1000.0, "A", 0, "u@x.test", {"delay": 0.7})
    observer.publish([opened, delivered, opened, failed("unknown", Kind.DEFERRED, delay=3.0)])
    text = observer.metrics.exposition().decode()
    assert 'relay_engagement_total{kind="open",verdict="person"} 2.0' in text
    assert 'relay_events_total{kind="open"} 2.0' in text
    assert "relay_delivery_delay_seconds_count 1.0" in text
    counts, actions = observer.tallies.take()
    assert counts == {
        (900, "", "delivered"): 1,
        (0, "", "delay:1"): 1,
        (900, "acme.test", "deferred"): 1,
    }
    assert [action.engagement for action in actions] == [(PERSON, NOBODY)]  # the second changes no count


def test_opens_and_clicks_are_counted_by_verdict_without_simulated_ones() -> None:
    observer = Observer(Log(StringIO(), "json"), lambda: 1000.0, list[Alert]().append)
    several = [{}, {"machine": True}, {"proxied": True}, {"proxied": True, "machine": True}, {"simulated": True}]
    observer.publish([Event(Kind.CLICK, 1000.0, "A", 0, data=data) for data in several])
    text = observer.metrics.exposition().decode()
    for verdict, number in (("person", 1.0), ("proxy", 1.0), ("machine", 2.0)):
        assert f'relay_engagement_total{{kind="click",verdict="{verdict}"}} {number}' in text
    assert 'relay_events_total{kind="click"} 4.0' in text


@pytest.mark.parametrize(("kind", "mail"), [(Kind.OPEN, False), (Kind.CLICK, False), (Kind.CREATED, True)])
def test_mail_is_in_flight_shortly_after_an_event_of_a_message(kind: Kind, mail: bool) -> None:
    now = [1000.0]
    observer = Observer(Log(StringIO(), "json"), lambda: now[0], list[Alert]().append)
    assert not observer.mail_in_flight()
    observer.publish([Event(kind, 1000.0, "A", 0)])
    assert observer.mail_in_flight() is mail
    now[0] += IN_FLIGHT_SECONDS
    assert not observer.mail_in_flight()
    now[0] -= 3600
    assert not observer.mail_in_flight(), "a clock that was set back delays no pixels"


def test_own_mail_and_copies_do_not_count_for_the_console() -> None:
    observer = Observer(Log(StringIO(), "json"), lambda: 1000.0, list[Alert]().append)
    observer.publish([failed("unknown"), failed("unknown", origin="dsn"), failed("unknown", copy=True)])
    assert observer.tallies.take() == ({(900, "acme.test", "bounced:unknown"): 1}, [])


def test_a_line_has_the_labels_of_its_message_within_bounds() -> None:
    labels = {"campaign": "spring", "tags": ("invoice",), "metadata": {"invoice": "1042"}}
    name, fields = log_line(Event(Kind.OPEN, 1000.0, "A", 0, "u@x.test", labels=labels))
    assert name == "message.open"
    assert fields == {
        "queue_id": "A",
        "recipient": "u@x.test",
        "campaign": "spring",
        "tags": ["invoice"],
        "metadata": {"invoice": "1042"},
    }
    many = {str(number): "x" * 500 for number in range(50)}
    _, fields = log_line(Event(Kind.OPEN, 1000.0, "A", 0, labels={"tags": tuple(many.values()), "metadata": many}))
    assert len(fields["tags"]) == len(fields["metadata"]) == MAX_LABELS
    assert set(fields["tags"]) == set(fields["metadata"].values()) == {"x" * (MAX_LABEL - 1) + "…"}
    assert fields["labels_left_out"] == 2 * (50 - MAX_LABELS)
