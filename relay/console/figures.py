"""The figures of the last 24 hours, made of the tallies. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.config.server import Proxies
from relay.console.charts import Bars, Rate, Readers, rate, readers
from relay.console.formats import number
from relay.console.time_columns import DAY_SPAN, time_columns
from relay.reports.tallies import BOUNCED, DELAY, LATE, TallySum, added_up, bounced, median_delay

KINDS = (
    *("created", "delivered", "deferred", "dropped", "complaint", "open", "open:proxy", "open:machine"),
    *("click", "click:machine", LATE, BOUNCED, DELAY),
)
"""Kinds of tallies that the overview reads."""

LEGEND = (("ok", "Delivered"), ("wait", "Deferred"), ("off", "Dropped"), ("bad", "Bounced"))

BOUNCE_MARKS = (2.0,)

COMPLAINT_MARKS = (0.1, 0.3)
"""Per cent: Gmail and Yahoo ask for less than the first, and refuse mail above the second."""


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What happened to recipients in 24 hours."""

    accepted: int
    delivered: int
    bounced: int
    dropped: int
    complaints: int
    opened: Readers
    clicked: Readers
    sent: Readers
    median: float | None
    """Seconds to deliver, about: half of the deliveries were faster."""
    last_hour: int
    """Deliveries of the last hour."""
    bounce_rate: Rate
    complaint_rate: Rate
    chart: Bars

    @property
    def left(self) -> int:
        """Recipients whose mail left or was refused."""
        return self.delivered + self.bounced


def day_figures(sums: Sequence[TallySum], now: float, proxies: Proxies) -> DayFigures:
    """Return the figures of the sums of `DAY_SPAN`. `proxies` says what an open by a proxy counts as."""
    total = added_up(sums)
    bounces = bounced(total)
    delivered = max(total.get("delivered", 0) - total.get(LATE, 0), 0)
    by_proxy, people, machines = (max(total.get(f"open{end}", 0), 0) for end in (":proxy", "", ":machine"))
    opened = people + (by_proxy if proxies == "opened" else 0)
    by_machine = machines + (by_proxy if proxies == "machine" else 0)
    clicked, clicked_by_machine = (max(total.get(kind, 0), 0) for kind in ("click", "click:machine"))
    complaints, recent = total.get("complaint", 0), now - 3600 - DAY_SPAN.column
    return DayFigures(
        accepted=total.get("created", 0),
        delivered=delivered,
        bounced=bounces,
        dropped=total.get("dropped", 0),
        complaints=complaints,
        sent=Readers("Delivered", number(delivered), "", 100.0 if delivered else 0.0, 0.0),
        opened=readers("Opened", opened, by_machine, delivered),
        clicked=readers("Clicked", clicked, clicked_by_machine, delivered),
        median=median_delay(total),
        last_hour=sum(one.count for one in sums if one.kind.startswith("delivered") and one.at >= recent),
        bounce_rate=rate("Bounce rate", bounces, delivered + bounces, BOUNCE_MARKS),
        complaint_rate=rate("Complaint rate", complaints, delivered, COMPLAINT_MARKS),
        chart=time_columns("What became of the mail, last 24 hours", DAY_SPAN, now, LEGEND, sums, _place),
    )


def _place(kind: str) -> int | None:
    """Return the place of a kind in the legend, None for one that the chart does not have."""
    name = kind.partition("/")[0]
    if name.startswith(BOUNCED):
        return 3
    return {"delivered": 0, "deferred": 1, "dropped": 2}.get(name)
