"""Geometry of the charts: lengths across in per cent, so that text keeps its size; lengths down in pixels. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.console.formats import number, percent

HEIGHT = 196
"""Pixels from the top of a chart to its base line."""

_TOP = 16
"""Pixels above the highest line: its label stands there."""

_LEAST = 1.5
"""Pixels of a part that is not 0: a single bounce is seen beneath thousands of deliveries."""

_GAP = 0.28
"""Share of a column that is left empty."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind in a column."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One span of time. The parts stand on one another, the first one on the base line."""

    x: float
    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars by time."""

    title: str
    description: str
    unit: str
    """What a row of the table is: "From", "Day"."""
    legend: Sequence[tuple[str, str]]
    """Class and word of each kind, from top to bottom."""
    columns: Sequence[Column]
    width: float
    lines: Sequence[tuple[float, str]]
    """Height and label of each horizontal line."""
    ticks: Sequence[tuple[float, str, str]]
    """Place, label and anchor of the times below."""
    rows: Sequence[tuple[str, Sequence[int]]]
    """The same figures as a table."""
    height: int = HEIGHT


def bars(
    *,
    title: str,
    description: str,
    unit: str,
    legend: Sequence[tuple[str, str]],
    names: Sequence[str],
    values: Sequence[Sequence[int]],
    rows: Sequence[tuple[str, Sequence[int]]],
    ticks: Sequence[tuple[int, str]],
    last: str = "",
    height: int = HEIGHT,
) -> Bars:
    """Return the chart of columns with these names and values. The last kind of the legend stands on the base line.

    `ticks` are indexes of columns with their labels, `last` is the label at the right end.
    """
    highest = 3 * (step := nice_step(max(map(sum, values), default=0)))
    share = 100 / len(names) if names else 100.0
    columns = [
        Column(
            round(index * share + share * _GAP / 2, 2),
            _column_title(name, legend, counts),
            _parts(legend, counts, highest, height),
        )
        for index, (name, counts) in enumerate(zip(names, values, strict=True))
    ]
    shown = [(round(index * share, 2), text, "start" if index == 0 else "middle") for index, text in ticks]
    return Bars(
        title=title,
        description=description,
        unit=unit,
        legend=legend,
        columns=columns,
        width=round(share * (1 - _GAP), 2),
        lines=[(_y(level, highest, height), number(level) if level else "") for level in range(0, highest + 1, step)],
        ticks=[*shown, *([(100.0, last, "end")] if last else [])],
        rows=rows,
        height=height,
    )


def _y(value: float, highest: int, height: int) -> float:
    return round(height - (height - _TOP) * value / highest, 1)


def _parts(legend: Sequence[tuple[str, str]], counts: Sequence[int], highest: int, height: int) -> tuple[Part, ...]:
    parts, base = [], float(height)
    for (kind, _), count in reversed(list(zip(legend, counts, strict=True))):
        if count:
            tall = max(round((height - _TOP) * count / highest, 1), _LEAST)
            base = round(base - tall, 1)
            parts.append(Part(kind, base, tall))
    return tuple(parts)


def _column_title(name: str, legend: Sequence[tuple[str, str]], counts: Sequence[int]) -> str:
    words = ", ".join(f"{number(count)} {word.lower()}" for (_, word), count in zip(legend, counts, strict=True))
    return f"{name}: {words}"


def nice_step(most: int) -> int:
    """Return the distance of three lines that reach `most`: 1, 2, 4 or 5 times a power of ten."""
    step, factor = 1, 1
    while True:
        for digit in (1, 2, 4, 5):
            step = digit * factor
            if 3 * step >= most:
                return step
        factor *= 10


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate against its marks."""

    title: str
    text: str
    description: str
    kind: str
    part: float
    marks: Sequence[tuple[float, str]]


def rate(title: str, part: int, whole: int, marks: Sequence[float]) -> Rate:
    """Return the rate of `part` in `whole`. Marks are per cent, rising; the scale ends a third above the last one."""
    shown = percent(part, whole)
    value = 100 * part / whole if whole else 0.0
    scale = marks[-1] * 4 / 3 if len(marks) > 1 else marks[-1] * 2
    passed = [mark for mark in marks if value >= mark]
    kind = "ok" if not passed else "bad" if len(passed) == len(marks) else "wait"
    against = f"above {passed[-1]:g} %" if passed else f"below {marks[0]:g} %"
    stand = " and ".join(f"{mark:g}" for mark in marks)
    return Rate(
        title=title,
        text=f"{shown}, {against}" if whole else "nothing yet",
        description=f"{shown}. {'The marks stand' if len(marks) > 1 else 'The mark stands'} at {stand} per cent.",
        kind=kind,
        part=round(min(100.0, 100 * value / scale), 1),
        marks=[(round(100 * mark / scale, 1), f"{mark:g} %") for mark in marks],
    )


@dataclass(frozen=True, slots=True)
class Readers:
    """How many recipients did something, people and machines apart, in per cent of those delivered."""

    title: str
    text: str
    machines_text: str
    people: float
    machines: float


def readers(title: str, people: int, machines: int, delivered: int) -> Readers:
    """Return the row of an action. More people than deliveries, of older mail, fill the bar."""
    whole = max(delivered, people + machines, 1)
    word = "person" if people == 1 else "people"
    return Readers(
        title=title,
        text=f"{number(people)} {word}" + (f", {percent(people, delivered)}" if delivered else ""),
        machines_text=f"{number(machines)} {'machine' if machines == 1 else 'machines'}" if machines else "",
        people=round(100 * people / whole, 1),
        machines=round(100 * machines / whole, 1),
    )
