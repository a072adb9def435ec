"""The verdict of the overview: one sentence that says how things stand, then what needs a hand. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relay.console.figures import BOUNCE_MARKS, COMPLAINT_MARKS, DayFigures
from relay.console.formats import counted, duration, in_words, listed, minute, number, sentence
from relay.domains.status import DomainStatus
from relay.queue.pause import Pause
from relay.queue.routing import LanePause

LONG = 4 * 3600.0
"""Seconds after which a waiting message is named in the verdict."""

FEW = 50
"""Recipients below which a rate says nothing."""

MAX_LINES = 8
"""Lines below the verdict, at most; the pages have the others."""

State = Literal["ok", "wait", "bad", "off"]


@dataclass(frozen=True, slots=True)
class Todo:
    """One thing that needs a hand."""

    state: str
    word: str
    subject: str
    text: str
    href: str = ""
    button: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How things stand."""

    state: State
    title: str
    text: str
    todo: Sequence[Todo] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewFacts:
    """What the verdict is made of."""

    now: float
    figures: DayFigures
    waiting: int
    oldest_at: float | None
    """Unix seconds: arrival of the oldest message that waits."""
    lifetime: float
    domains: Sequence[DomainStatus]
    lanes: Mapping[str, LanePause]
    holds: Sequence[Pause]
    """Pauses that hold mail back."""


def verdict(found: OverviewFacts) -> Verdict:
    """Return the verdict."""
    todo = [*_domains(found), *_lanes(found), *_holds(found), *_rates(found), *_oldest(found)]
    title = f"{_mail(found)} {_trouble(found)}".strip()
    if not todo:
        return Verdict(*_quiet(found))
    state: State = "bad" if any(one.state == "bad" for one in todo) else "wait"
    rest = len(todo) - MAX_LINES
    text = f"Found at {minute(found.now, found.now)}." + (
        f" {number(rest)} more are on their pages." if rest > 0 else ""
    )
    return Verdict(state, title, text, todo[:MAX_LINES])


def _quiet(found: OverviewFacts) -> tuple[State, str, str]:
    figures = found.figures
    if not figures.delivered and not found.waiting:
        if not figures.accepted:
            return "off", "No mail in the last 24 hours.", "It appears here within seconds of being accepted."
        return "ok", "All is well. Nothing waits.", "No recipient was delivered in 24 hours."
    done = f"{counted(figures.delivered, 'recipient was', 'recipients were')} delivered in 24 hours."
    waits = f"{counted(found.waiting, 'recipient waits', 'recipients wait')}." if found.waiting else "Nothing waits."
    return "ok", f"All is well. {done}", waits


def _mail(found: OverviewFacts) -> str:
    if found.figures.last_hour:
        return "Mail is leaving."
    return "Mail waits, and none left in the last hour." if found.waiting else ""


def _trouble(found: OverviewFacts) -> str:
    """Return the sentence that names what is wrong, with its numbers."""
    failing = sum(one.health == "failing" for one in found.domains)
    providers = sum(lane.startswith("provider:") for lane in found.lanes)
    places = len(found.lanes) - providers
    parts = [
        f"{in_words(failing)} {'domain fails its' if failing == 1 else 'domains fail their'} check" if failing else "",
        f"{in_words(providers)} {'provider is' if providers == 1 else 'providers are'} paused" if providers else "",
        f"{in_words(places)} {'destination is' if places == 1 else 'destinations are'} paused" if places else "",
        f"{in_words(len(found.holds))} {'pause holds' if len(found.holds) == 1 else 'pauses hold'} mail back"
        if found.holds
        else "",
        *(one.word.lower() for one in _rates(found)),
        "the oldest message waits for long" if any(_oldest(found)) else "",
    ]
    return sentence(listed([part for part in parts if part], most=3)) if any(parts) else ""


def _domains(found: OverviewFacts) -> Iterator[Todo]:
    for one in found.domains:
        if one.health == "failing":
            wrong = [label for label, status in one.statuses.items() if status == "wrong"]
            since = f" since {minute(one.health_since, found.now)}" if one.health_since else ""
            text = f"Wrong or missing{since}: {listed(wrong)}. Receivers trust its mail less."
            yield Todo("bad", "Fails", one.domain, text, f"/domains/{one.domain}", "See records")


def _lanes(found: OverviewFacts) -> Iterator[Todo]:
    for lane, pause in sorted(found.lanes.items(), key=lambda item: not item[0].startswith("provider:")):
        kind, _, name = lane.partition(":")
        again = f" It is tried again at {minute(pause.until, found.now)}." if pause.until < 1e12 else ""
        if kind == "provider":
            text = f"{sentence(pause.why)}{again}"
            yield Todo("wait", "Paused", f"Provider {name}", text, f"/providers/{name}", "See provider")
        else:
            yield Todo("wait", "Paused", name, f"{sentence(pause.why)}{again}", "/queue", "See queue")


def _holds(found: OverviewFacts) -> Iterator[Todo]:
    for pause in found.holds:
        kind, _, value = pause.subject.partition(":")
        end = f"Until {minute(pause.until, found.now)}." if pause.until else "Until it is resumed."
        yield Todo(
            "hold",
            "Held",
            f"{kind.replace('-', ' ').capitalize()} {value}",
            f"{sentence(pause.why)} {end}".strip(),
            "/queue",
        )


def _rates(found: OverviewFacts) -> Iterator[Todo]:
    figures = found.figures
    if figures.left >= FEW and 100 * figures.bounced >= BOUNCE_MARKS[0] * figures.left:
        text = f"{figures.bounce_rate.text.capitalize()}. Lists need cleaning: see which addresses do not exist."
        yield Todo("bad", "Too many bounces", "Bounce rate", text, "/bounces", "See bounces")
    if figures.complaints > 1 and 100 * figures.complaints >= COMPLAINT_MARKS[0] * figures.delivered:
        state = "bad" if figures.complaint_rate.kind == "bad" else "wait"
        text = f"{figures.complaint_rate.text.capitalize()}. Gmail and Yahoo refuse mail above 0.3 %."
        yield Todo(state, "Too many complaints", "Complaint rate", text, "/suppressions", "See complaints")


def _oldest(found: OverviewFacts) -> Iterator[Todo]:
    if found.oldest_at is None or (age := found.now - found.oldest_at) < LONG:
        return
    text = f"It bounces after {duration(found.lifetime)}, and the sender gets a notification."
    yield Todo("wait", "Waits long", f"The oldest message waits {duration(age)}", text, "/queue", "See queue")
