"""Each thing that decides when an entry leaves is named, the strongest first."""

from dataclasses import replace

import pytest

from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.pause import HOLD, Pause
from relay.queue.routing import LanePause
from relay.queue.site import Site
from relay.queue.site_rate import SiteRate
from relay.queue.site_traffic import SiteTraffic
from relay.queue.wait_reasons import WaitContext, reasons

NOW = 1_800_000_000.0

MESSAGE = Message("0000000000000A", NOW, "app@acme.test")

ENTRY = Entry(
    "0000000000000A", 0, "u@x.test", "mx:x.test", NOW, NOW + 86400, NOW, last_reply=Reply(451, "4.3.2", "busy")
)

SITE = Site("big", "192.0.2.1", connections=5)


def limited(**changed: object) -> SiteTraffic:
    traffic = SiteTraffic()
    traffic.rate = replace(SiteRate(20.0, NOW, changed_at=NOW, why="421 slow"), **changed)  # type: ignore[arg-type]
    return traffic


def causes(entry: Entry, found: WaitContext) -> list[tuple[str, float]]:
    return [(one.cause, one.until) for one in reasons(MESSAGE, entry, found)]


@pytest.mark.parametrize(
    ("entry", "found", "expected"),
    [
        (ENTRY, WaitContext(NOW), []),
        (replace(ENTRY, release_at=NOW + 9), WaitContext(NOW), [("release time", NOW + 9)]),
        (replace(ENTRY, attempts=1, next_attempt_at=NOW + 60), WaitContext(NOW), [("back-off", NOW + 60)]),
        (
            replace(ENTRY, release_at=NOW + 900),
            WaitContext(NOW, pause=Pause("site:big", NOW, 0.0, "no", HOLD)),
            [("paused", 0.0)],
        ),
        (ENTRY, WaitContext(NOW, lane_pause=LanePause(NOW + 30, "no route")), [("lane paused", NOW + 30)]),
        (ENTRY, WaitContext(NOW, in_flight=5, concurrency=5), [("lane full", 0.0)]),
        (ENTRY, WaitContext(NOW, site=SITE, site_in_flight=5), [("site connections", 0.0)]),
        (ENTRY, WaitContext(NOW, site=SITE, traffic=limited()), [("site rate", 0.0)]),
        (ENTRY, WaitContext(NOW, site=SITE, traffic=limited(not_before=NOW + 50)), [("site rate", NOW + 50)]),
        (ENTRY, WaitContext(NOW, store_fault="disk full", takes_part=False), [("store", 0.0), ("node", 0.0)]),
        (replace(ENTRY, state=State.HELD, reason="by the operator"), WaitContext(NOW), [("held", 0.0)]),
        (replace(ENTRY, state=State.ACTIVE), WaitContext(NOW), [("active", 0.0)]),
        (replace(ENTRY, state=State.BOUNCED), WaitContext(NOW), [("bounced", 0.0)]),
        (replace(ENTRY, state=State.DROPPED, reason="spam"), WaitContext(NOW), [("dropped", 0.0)]),
        (replace(ENTRY, state=State.DELIVERED), WaitContext(NOW), [("delivered", 0.0)]),
        (
            replace(ENTRY, attempts=1, uncertain=True, next_attempt_at=NOW + 60),
            WaitContext(NOW),
            [("back-off", NOW + 60), ("uncertain", 0.0)],
        ),
    ],
)
def test_each_circumstance_has_its_reason(entry: Entry, found: WaitContext, expected: list[tuple[str, float]]) -> None:
    assert causes(entry, found) == expected


def test_a_bound_of_the_profile_is_named_without_a_reply() -> None:
    traffic = SiteTraffic()
    traffic.bound = 20.0
    (reason,) = reasons(MESSAGE, ENTRY, WaitContext(NOW, site=SITE, traffic=traffic))
    assert reason.text == "the site big gets at most 20 messages a minute by its profile"


@pytest.mark.parametrize("subject", ["site:big", "provider:news", "domain:x.test"])
def test_senders_read_no_reply_to_the_mail_of_others(subject: str) -> None:
    reply = "550 blocked: mail of beta.test"
    pause, down = Pause(subject, NOW, 0.0, reply, HOLD), LanePause(NOW + 30, reply)
    found = WaitContext(NOW, pause, down, site=SITE, traffic=limited(why=reply), store_fault=reply)
    waiting = list(reasons(MESSAGE, replace(ENTRY, reason=pause.reason, release_at=NOW + 9), found))
    assert {one.cause for one in waiting} == {"store", "paused", "lane paused", "site rate"}
    assert all(reply in one.text and reply not in one.for_sender for one in waiting)
    assert reply not in pause.reason


def test_senders_read_why_they_are_paused_themselves() -> None:
    pause = Pause("identity:a@x.test", NOW, 0.0, "12 of 12 recipients bounced", "bounces")
    (reason,) = reasons(MESSAGE, ENTRY, WaitContext(NOW, pause))
    assert reason.for_sender == pause.reason == "its identity is paused: 12 of 12 recipients bounced"
