"""The report on engagement: sums, rates, order, and the links that were followed."""

from dataclasses import replace

import pytest

from relay.config.server import Proxies
from relay.reports.engagement import engagement_report
from relay.reports.ports import CampaignCounts, Click

SPRING = CampaignCounts(
    "spring", 12, 11, clicked=3, opened=6, machine_clicked=2, machine_opened=4, replied=1, unsubscribed=1, came_back=1
)

AUTUMN = CampaignCounts("autumn", 20, 20)

OTHER = CampaignCounts("", 100, 90, clicked=9, opened=30, complained=1)


def test_rates_are_shares_of_delivered_without_late_bounces() -> None:
    assert engagement_report([SPRING], [])["campaigns"] == [
        {
            "campaign": "spring",
            "type": "campaign",
            "recipients": 12,
            "delivered": 10,
            "opens": 6,
            "clicks": 3,
            "open_rate": 0.6,
            "click_rate": 0.3,
            "click_to_open": 0.5,
            "proxied_opens": 0,
            "machine_opens": 4,
            "machine_clicks": 2,
            "replies": 1,
            "reply_rate": 0.1,
            "unsubscribes": 1,
            "unsubscribe_rate": 0.1,
            "complaints": 0,
            "complaint_rate": 0.0,
        }
    ]


@pytest.mark.parametrize(("proxies", "opens", "machines"), [("opened", 8, 4), ("machine", 6, 6), ("apart", 6, 4)])
def test_the_operator_decides_what_opens_by_a_proxy_count_as(proxies: Proxies, opens: int, machines: int) -> None:
    report = engagement_report([replace(SPRING, proxy_opened=2)], [], proxies=proxies)
    assert (report["opens"], report["machine_opens"], report["proxied_opens"]) == (opens, machines, 2)
    assert (report["open_rate"], report["click_to_open"]) == (opens / 10, round(3 / opens, 4))


def test_campaigns_are_ordered_by_size_with_totals() -> None:
    report = engagement_report([OTHER, SPRING, AUTUMN], [])
    assert [one["campaign"] for one in report["campaigns"]] == ["autumn", "spring", ""]  # type: ignore[attr-defined]
    assert (report["recipients"], report["delivered"], report["opens"], report["clicks"]) == (132, 120, 36, 12)
    assert (report["open_rate"], report["click_to_open"]) == (0.3, 0.3333)


def test_a_report_without_mail() -> None:
    report = engagement_report([], [])
    assert (report["delivered"], report["open_rate"], report["campaigns"], report["links"]) == (0, 0.0, [], [])


def test_links_are_ordered_by_recipients_then_clicks() -> None:
    def click(number: int, target: str) -> Click:
        return Click("spring", "A", number, target)

    clicks = [click(1, "https://b.test/")] * 5 + [click(1, "https://a.test/"), click(2, "https://a.test/")]
    clicks += [click(number, f"https://c.test/{number}") for number in range(20)]
    links = engagement_report([], clicks)["links"]
    assert isinstance(links, list)
    assert links[:2] == [
        {"target": "https://a.test/", "recipients": 2, "clicks": 2},
        {"target": "https://b.test/", "recipients": 1, "clicks": 5},
    ]
    assert len(links) == 10
