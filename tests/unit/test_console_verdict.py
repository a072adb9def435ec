"""The verdict: one sentence that says how things stand, and what needs a hand."""

from dataclasses import replace

from relay.console.figures import day_figures
from relay.console.verdict import MAX_LINES, OverviewFacts, verdict
from relay.domains.status import DomainStatus
from relay.queue.pause import Pause
from relay.queue.routing import LanePause
from relay.reports.tallies import TallySum

NOW = 1_800_000_000.0

FAILING = DomainStatus(
    "harbour.test", "", 0.0, NOW, health="failing", health_since=NOW - 3600, statuses={"TXT s1.harbour.test": "wrong"}
)


def standing(**counts: int) -> OverviewFacts:
    sums = [TallySum(int(NOW) - 600, kind.replace("__", ":"), count) for kind, count in counts.items()]
    return OverviewFacts(
        now=NOW,
        figures=day_figures(sums, NOW, "opened"),
        waiting=0,
        oldest_at=None,
        lifetime=72 * 3600.0,
        domains=(),
        lanes={},
        holds=(),
    )


def test_all_is_well() -> None:
    found = verdict(standing(created=12, delivered=12))
    assert (found.state, found.title) == ("ok", "All is well. 12 recipients were delivered in 24 hours.")
    assert not found.todo


def test_without_mail() -> None:
    assert verdict(standing()).title == "No mail in the last 24 hours."


def test_trouble_is_named_with_its_number_and_listed() -> None:
    found = verdict(
        replace(
            standing(delivered=12),
            domains=[FAILING, replace(FAILING, domain="other.test", health="passing")],
            lanes={"provider:newsletter": LanePause(NOW + 900, "535 5.7.8 Authentication failed")},
            holds=[Pause("campaign:autumn", NOW, 0.0, "wrong price")],
        )
    )
    assert found.state == "bad"
    assert found.title == (
        "Mail is leaving. One domain fails its check, one provider is paused and one pause holds mail back."
    )
    assert [one.subject for one in found.todo] == ["harbour.test", "Provider newsletter", "Campaign autumn"]
    assert "535 5.7.8 Authentication failed. It is tried again at" in found.todo[1].text
    assert found.todo[0].href == "/domains/harbour.test"


def test_rates_and_ages_are_trouble_too() -> None:
    bad = verdict(standing(delivered=950, bounced__bad_mailbox=50))
    assert bad.state == "bad"
    assert "Too many bounces" in bad.title
    few = verdict(standing(delivered=9, bounced__bad_mailbox=1))
    assert few.state == "ok", "a rate of ten recipients says nothing"
    old = verdict(replace(standing(delivered=9), waiting=1, oldest_at=NOW - 26 * 3600))
    assert old.state == "wait"
    assert "26 h" in old.todo[0].subject
    stuck = verdict(replace(standing(), waiting=5, oldest_at=NOW - 26 * 3600))
    assert stuck.title.startswith("Mail waits, and none left in the last hour.")


def test_a_hundred_troubles_stay_a_page() -> None:
    many = [replace(FAILING, domain=f"d{number}.test") for number in range(100)]
    found = verdict(replace(standing(delivered=1), domains=many))
    assert len(found.todo) == MAX_LINES
    assert "92 more" in found.text


def test_figures_count_people_and_machines_apart() -> None:
    sums = {"created": 100, "delivered": 90, "late": 10, "bounced__bad_mailbox": 20, "open": 30, "open__proxy": 8}
    counts = {**sums, "open__machine": 5, "click": 6, "delay__1": 40, "delay__5": 40}
    found = standing(**counts).figures
    assert (found.delivered, found.bounced, found.left) == (80, 20, 100)
    assert (found.opened.text, found.opened.machines_text) == ("38 people, 47.5 %", "5 machines")
    assert found.clicked.text == "6 people, 7.5 %"
    assert found.median == 1.0
    assert sum(sum(values) for _, values in found.chart.rows) == 110
