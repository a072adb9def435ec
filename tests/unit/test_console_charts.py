"""Geometry of the charts: bars within their chart, small parts visible, rates against their marks."""

from hypothesis import given
from hypothesis import strategies as st

from relay.console.charts import HEIGHT, bars, nice_step, rate, readers
from relay.console.time_columns import SPANS, time_columns
from relay.reports.tallies import TallySum

LEGEND = (("ok", "Delivered"), ("bad", "Bounced"))


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=2, max_size=2), min_size=1, max_size=48))
def test_bars_stay_within_the_chart_and_no_part_vanishes(values: list[list[int]]) -> None:
    made = bars(
        title="t",
        description="d",
        unit="From",
        legend=LEGEND,
        names=[str(index) for index in range(len(values))],
        values=values,
        rows=[],
        ticks=[],
    )
    for column, counts in zip(made.columns, values, strict=True):
        assert 0 <= column.x <= 100 - made.width + 0.01
        assert len(column.parts) == sum(count > 0 for count in counts)
        assert all(part.height >= 1.5 and part.y >= 10 for part in column.parts)
        assert not column.parts or column.parts[0].y + column.parts[0].height == HEIGHT


@given(st.integers(0, 10**12))
def test_three_lines_reach_the_highest_bar(most: int) -> None:
    step = nice_step(most)
    assert 3 * step >= most
    assert str(step).rstrip("0") in ("1", "2", "4", "5")


def test_bounces_stand_on_the_base_line() -> None:
    made = bars(
        title="t", description="d", unit="From", legend=LEGEND, names=["14:00"], values=[[9, 1]], rows=[], ticks=[]
    )
    assert [part.kind for part in made.columns[0].parts] == ["bad", "ok"]
    assert made.columns[0].title == "14:00: 9 delivered, 1 bounced"


def test_a_rate_against_its_marks() -> None:
    assert rate("Bounce rate", 15, 1000, (2.0,)).text == "1.5 %, below 2 %"
    assert rate("Bounce rate", 30, 1000, (2.0,)).kind == "bad"
    between = rate("Complaint rate", 2, 1000, (0.1, 0.3))
    assert (between.kind, between.text) == ("wait", "0.20 %, above 0.1 %")
    assert [place for place, _ in between.marks] == [25.0, 75.0]
    assert rate("Bounce rate", 0, 0, (2.0,)).text == "nothing yet"


def test_people_and_machines_share_a_bar() -> None:
    row = readers("Opened", 30, 20, 100)
    assert (row.text, row.machines_text, row.people, row.machines) == ("30 people, 30.0 %", "20 machines", 30.0, 20.0)
    more = readers("Opened", 30, 20, 10)
    assert more.people + more.machines == 100.0


def test_sums_fall_into_their_columns() -> None:
    month = SPANS[-1]
    now = 1_800_000_000.0
    start, end = month.window(now)
    assert end - start == month.seconds
    assert start <= now < end
    sums = [TallySum(start, "bounced:bad_mailbox", 3), TallySum(end - 1, "bounced:policy", 4), TallySum(end, "x", 5)]
    made = time_columns("t", month, now, LEGEND, sums, lambda kind: 1 if kind.startswith("bounced") else None)
    assert sum(made.rows[0][1]) == 4, "the newest day comes first"
    assert sum(sum(values) for _, values in made.rows) == 7
