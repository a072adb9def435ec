"""Charts of tallies by time: columns of half an hour, an hour or a day. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from relay.console.charts import Bars, bars
from relay.console.formats import day, minute
from relay.reports.tallies import TallySum

DAY = 86400


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time up to now, in columns."""

    name: str
    title: str
    seconds: int
    column: int
    """Seconds of a column."""
    unit: str
    """What a column is called in the table."""

    def window(self, now: float) -> tuple[int, int]:
        """Return the beginning and the end of the columns; the last one is not over."""
        end = int(now // self.column + 1) * self.column
        return end - self.seconds, end

    def column_name(self, at: int) -> str:
        """Return the name of the column that begins then."""
        return day(at) if self.column >= DAY else minute(at, at)

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.seconds // self.column


DAY_SPAN = Span("day", "Last 24 hours", DAY, 1800, "From")

SPANS = (
    Span("day", "Last 24 hours", DAY, 3600, "From"),
    Span("week", "Last 7 days", 7 * DAY, DAY, "Day"),
    Span("month", "Last 30 days", 30 * DAY, DAY, "Day"),
)

ROWS = 12
"""Rows of the table of a chart of hours, at most."""

TICKS = 4
"""Labels below a chart, beside that of its end."""


def time_columns(
    title: str,
    span: Span,
    now: float,
    legend: Sequence[tuple[str, str]],
    sums: Iterable[TallySum],
    place: Callable[[str], int | None],
) -> Bars:
    """Return the chart of sums. `place` returns the place of a kind in the legend, None for one that is left out."""
    start, _ = span.window(now)
    values = [[0] * len(legend) for _ in range(span.columns)]
    for one in sums:
        where = place(one.kind)
        column = (one.at - start) // span.column
        if where is not None and 0 <= column < span.columns:
            values[column][where] += one.count

    names = [span.column_name(start + index * span.column) for index in range(span.columns)]
    most = max(range(span.columns), key=lambda index: sum(values[index]))
    busiest = f"The tallest begins {names[most]}." if sum(values[most]) else "There are none."
    apart = -(-span.columns // TICKS)
    each = 1 if span.column >= DAY else -(-span.columns // ROWS)
    rows = [
        (names[index], [sum(column) for column in zip(*values[index : index + each], strict=True)])
        for index in range(0, span.columns, each)
    ]
    return bars(
        title=title,
        description=f"Stacked bars, {span.columns} of them. {busiest}",
        unit=span.unit,
        legend=legend,
        names=names,
        values=values,
        rows=rows[::-1] if span.column >= DAY else rows,
        ticks=[(index, names[index]) for index in range(0, span.columns - apart // 2, apart)],
        last="now" if span.column < DAY else "today",
    )
