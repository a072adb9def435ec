"""The queue by destination site, or by provider where mail leaves through one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.console.formats import minute, sentence
from relay.console.queue_state import QueueState
from relay.mail.lane import DIRECT
from relay.mail.queue_id import is_queue_id, time_of
from relay.queue.routing import LanePause, provider_of
from relay.reports.sites import SiteReport


@dataclass(frozen=True, slots=True)
class SiteRow:
    """What waits for one site."""

    name: str
    lanes: tuple[str, ...]
    count: int
    age: float | None
    """Seconds that the oldest message waits, None without one."""
    sessions: str
    pace: str
    state: str
    """Class of the badge."""
    word: str
    why: str


def site_rows(state: QueueState, paused: Mapping[str, LanePause], now: float) -> Sequence[SiteRow]:
    """Return the sites with open entries, or with something that holds mail back; most entries first."""
    by_lane = state.by_lane()
    of_site = {lane: one for one in state.sites for lane in one.lanes}
    rows = [
        _row(one.name, tuple(one.lanes), one, state, paused, now)
        for one in state.sites
        if any(lane in by_lane for lane in one.lanes) or one.pause is not None
    ]
    rows += [_row(_name(lane), (lane,), None, state, paused, now) for lane in by_lane if lane not in of_site]
    return sorted(rows, key=lambda one: (-one.count, one.name))


def _name(lane: str) -> str:
    provider = provider_of(lane)
    return lane.partition(":")[2] if provider == DIRECT else provider


def _row(
    name: str,
    lanes: tuple[str, ...],
    site: SiteReport | None,
    state: QueueState,
    paused: Mapping[str, LanePause],
    now: float,
) -> SiteRow:
    by_lane = state.by_lane()
    times = [time_of(state.oldest[lane]) for lane in lanes if is_queue_id(state.oldest.get(lane, ""))]
    pauses = [paused[lane] for lane in lanes if lane in paused]
    state_word, word, why = _state(site, pauses, now)
    limited = site is not None and site.traffic is not None and site.traffic.is_limited
    return SiteRow(
        name=name.removeprefix("provider:"),
        lanes=lanes,
        count=sum(by_lane[lane] for lane in lanes),
        age=max(now - min(times), 0.0) if times else None,
        sessions=f"at most {site.connections}" if site and site.connections else "–",
        pace=f"{site.traffic.messages_per_minute:.3g} a minute" if site and site.traffic and limited else "no limit",
        state=state_word,
        word=word,
        why=why,
    )


def _state(site: SiteReport | None, pauses: Sequence[LanePause], now: float) -> tuple[str, str, str]:
    """Return class and word of the badge, and the reason."""
    if site is not None and site.pause is not None:
        until = f" Until {minute(site.pause.until, now)}." if site.pause.until else " Until it is resumed."
        return "hold", "Held", f"{sentence(site.pause.why)}{until}".strip()
    if pauses:
        first = min(pauses, key=lambda one: one.until)
        until = f" It is tried again at {minute(first.until, now)}." if first.until < 1e12 else ""
        return "wait", "Paused", f"{sentence(first.why)}{until}"
    if site is not None and site.state in ("probing", "limited"):
        rate = site.traffic.rate if site.traffic else None
        return "wait", "Slowed", sentence(rate.why) if rate and rate.why else "Its profile sets the pace."
    return "ok", "Open", ""
