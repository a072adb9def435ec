"""The dashboard's pages: what they say, and that whatever a stranger wrote stays text wherever it stands."""

import re
from dataclasses import replace
from typing import Any

from relay.admin.dashboard.pages import Overview, message_page, overview_page, search_page
from relay.queue.pause import Pause
from relay.queue.routing import LanePause
from relay.reports.engagement import engagement_report
from relay.reports.ports import CampaignCounts

EVIL = "<img src=x onerror=alert(1)>\"'&"

RECIPIENT = {
    "recipient": EVIL,
    "status": "bounced",
    "lane": EVIL,
    "attempts": 1,
    "next_attempt_at": None,
    "reason": "",
    "reply": EVIL,
}

STORY: dict[str, Any] = {
    "queue_id": "0000000000000A",
    "created_at": "2026-11-25T20:00:00.000Z",
    "subject": EVIL,
    "tags": [EVIL],
    "metadata": {EVIL: EVIL},
    "recipients": [RECIPIENT, RECIPIENT],
    "next_events": None,
    "events": [{"at": "2026-11-25T20:00:01.000Z", "event": "bounced", "recipient": EVIL, EVIL: EVIL}],
    **dict.fromkeys(("message_id", "from", "reverse_path", "identity", "domain", "provider", "campaign"), EVIL),
    **dict.fromkeys(("size", "credential", "client"), EVIL),
}

CATEGORY = {"category": "bad_mailbox", "title": "No such address", "bounced": 3, "guidance": ["Remove the address."]}

OVERVIEW = Overview(
    hostname="relay.test",
    version="0.1.0",
    healthy=True,
    queue={"waiting": 12345, "held": 1},
    last_hour={"delivered": 7},
    paused={},
    paused_identities={},
    recent=[STORY],
    bounces={"bounced": 3, "recipients": 30, "bounce_rate": 0.1, "categories": [CATEGORY]},
    engagement=engagement_report([CampaignCounts(EVIL, 10, 10, clicked=2, opened=5)], ()),
)


def test_received_text_is_escaped_on_every_page() -> None:
    overview = replace(
        OVERVIEW, paused={EVIL: LanePause(1e9, EVIL)}, paused_identities={EVIL: Pause(EVIL, 1e9, 0, EVIL)}
    )
    for html in (overview_page(overview), message_page(EVIL, STORY), search_page(EVIL, EVIL, [STORY])):
        assert "<img" not in html
        assert "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;" in html
        assert not re.search(r"[\s\"']on\w+=\"", html)


def test_the_overview_shows_the_state() -> None:
    html = overview_page(OVERVIEW)
    assert "<dt>Waiting</dt><dd>12,345<" in html
    assert "<dt>Delivered</dt><dd>7<" in html
    assert "working" in html
    assert "Paused" not in html
    assert "30 days: 3 of 30 recipients (10.0%)" in html
    assert "<li>Remove the address.</li>" in html
    assert "5 (50.0%)" in html
    assert "bounced</span>" in html


def test_store_errors_and_paused_lanes_are_highlighted() -> None:
    resting = {
        "provider:newsletter": LanePause(1795637700.0, "535 5.7.8 Authentication failed"),
        "mx:rcpt.test": LanePause(1795637700.0, "554 5.7.1 Blocked"),
    }
    html = overview_page(replace(OVERVIEW, healthy=False, paused=resting))
    assert "store.trouble" in html
    assert "535 5.7.8 Authentication failed, until " in html
    assert "2026-11-25 20:15:00" in html
    assert html.index("554 5.7.1 Blocked") < html.index("535 5.7.8"), "in order of the lanes"


def test_the_overview_without_mail() -> None:
    nothing: dict[str, Any] = {"bounced": 0, "recipients": 0, "bounce_rate": 0.0, "categories": []}
    html = overview_page(replace(OVERVIEW, recent=[], bounces=nothing, engagement=engagement_report([], ())))
    for word in ("No message was accepted yet.", "Nothing bounced.", "No mail yet."):
        assert word in html
    assert "No message found. Search for a queue id" in search_page("relay.test", "x", [])


def test_a_long_timeline_has_a_link_to_its_next_page() -> None:
    assert "Later events" not in message_page("relay.test", STORY)
    page = message_page("relay.test", STORY | {"next_events": "1764000000.5/12"})
    assert '<a href="/message/0000000000000A?after=1764000000.5/12">Later events</a>' in page


def test_events_name_their_recipient_if_there_are_several() -> None:
    assert '>Recipient</th><th scope="col">Details' in message_page("relay.test", STORY)
    alone = {**STORY, "recipients": [RECIPIENT]}
    assert '>Event</th><th scope="col">Details' in message_page("relay.test", alone)
