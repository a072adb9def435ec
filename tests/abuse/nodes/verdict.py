"""The verdict over a run: what was lost, what came twice and why, whether limits held, how long it all took. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.abuse.nodes.story import Key, Kill, Limit, Note, Story

CLOSE = 0.25
"""Seconds: a delivery noted so long after a kill may have been on its way when it struck."""

DEFECTS = frozenset({"delivery.failed", "smtp.failed", "task.failed", "server.broken"})
"""Lines that say something raised what it never should, whatever is killed around it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a run."""

    seconds: float
    drain_seconds: float
    acknowledged: int
    promised: int
    """Deliveries promised: one for each recipient of an acknowledged message."""
    delivered: int
    held_back: int
    lost: list[Key]
    resent: int
    """Messages that are in the queue more than once, for the client saw no reply and sent again."""
    duplicates: int
    by_kill: list[dict[str, object]]
    by_restart: list[dict[str, object]]
    unexplained: list[Key]
    """Delivered twice without a kill or a restart in between."""
    limits: list[dict[str, object]]
    takeover_seconds: list[float]
    """For each kill that left something in hand: until the last of it was delivered."""
    refusals: Mapping[str, int]
    said: Mapping[str, int]
    """Warnings and errors in the logs of the nodes, by line."""
    leaks: list[str]
    """What the audit of the store found."""

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, came twice without a reason or went over a limit, and nothing raised."""
        sound = not self.lost and not self.unexplained and not self.leaks and DEFECTS.isdisjoint(self.said)
        return sound and all(one["holds"] for one in self.limits)


def evaluate(story: Story) -> Verdict:
    """Return what came out."""
    times = _times(story.notes)
    promised = {key for promise in story.promises for key in promise.keys}
    by_kill, by_restart, unexplained = _duplicates(story, times)
    takeovers = [_takeover(kill, times) for kill in story.kills]
    queue_ids: dict[str, set[str]] = defaultdict(set)
    for promise in story.promises:
        queue_ids[promise.proof].add(promise.queue_id)
    for note in story.notes:
        queue_ids[note.proof].add(note.queue_id)
    last = max((promise.at for promise in story.promises), default=story.began)
    return Verdict(
        seconds=round(story.drained - story.began, 1),
        drain_seconds=round(story.drained - last, 1),
        acknowledged=len(story.promises),
        promised=len(promised),
        delivered=len(promised & times.keys()),
        held_back=len((promised & story.held_back) - times.keys()),
        lost=sorted(promised - times.keys() - story.held_back),
        resent=sum(len(ids) > 1 for ids in queue_ids.values()),
        duplicates=sum(len(one) - 1 for one in times.values()),
        by_kill=[
            {
                "node": kill.node,
                "at": round(kill.at - story.began, 1),
                "in_hand": len(kill.in_hand),
                "duplicates": by_kill[number],
                "takeover": takeovers[number],
            }
            for number, kill in enumerate(story.kills)
        ],
        by_restart=[_restart(story, number, by_restart[number]) for number in range(len(story.restarts))],
        unexplained=unexplained,
        limits=[_limit(limit, story.notes) for limit in story.limits],
        takeover_seconds=sorted(one for one in takeovers if one is not None),
        refusals=_refusals(story),
        said=story.said,
        leaks=story.leaks,
    )


def _times(notes: Iterable[Note]) -> dict[Key, list[float]]:
    times: dict[Key, list[float]] = defaultdict(list)
    for note in sorted(notes, key=lambda one: one.at):
        times[note.key].append(note.at)
    return times


def _duplicates(story: Story, times: Mapping[Key, Sequence[float]]) -> tuple[list[int], list[int], list[Key]]:
    """Count second deliveries by the kill or the restart that lies between them and those before."""
    by_kill, by_restart = [0] * len(story.kills), [0] * len(story.restarts)
    unexplained: list[Key] = []
    for key, taken in times.items():
        for before, again in pairwise(taken):
            kill = _last(before - CLOSE <= one.at <= again and key in one.in_hand for one in story.kills)
            restart = _last(before - CLOSE <= one.up and one.down <= again for one in story.restarts)
            if kill is not None:
                by_kill[kill] += 1
            elif restart is not None:
                by_restart[restart] += 1
            else:
                unexplained.append(key)
    return by_kill, by_restart, unexplained


def _last(holds: Iterable[bool]) -> int | None:
    return max((number for number, one in enumerate(holds) if one), default=None)


def _takeover(kill: Kill, times: Mapping[Key, Sequence[float]]) -> float | None:
    after = [at - kill.at for key in kill.in_hand for at in times.get(key, ()) if at > kill.at + CLOSE]
    return round(max(after), 1) if after else None


def _restart(story: Story, number: int, duplicates: int) -> dict[str, object]:
    restart = story.restarts[number]
    end = story.restarts[number + 1].down if number + 1 < len(story.restarts) else story.drained
    refused = [
        one.at
        for one in story.refusals
        if one.code == 451 and one.text.startswith("4.3.0") and restart.down <= one.at < end
    ]
    return {
        "mode": restart.mode,
        "at": round(restart.down - story.began, 1),
        "away": round(restart.up - restart.down, 1),
        "refusals_451": len(refused),
        "seconds_of_451_after": round(max([*refused, restart.up]) - restart.up, 1),
        "duplicates": duplicates,
    }


def _limit(limit: Limit, notes: Iterable[Note]) -> dict[str, object]:
    """Find the fullest window: of what left at all, and with what left a second time."""
    by_sender: dict[str, list[Note]] = defaultdict(list)
    for note in sorted(notes, key=lambda one: one.at):
        if note.sender.endswith(f"@{limit.domain}"):
            by_sender[note.sender if limit.each else ""].append(note)
    fullest = [crowded(_firsts(one), limit.span) for one in by_sender.values()]
    every = [crowded([note.at for note in one], limit.span) for one in by_sender.values()]
    return {
        "name": limit.name,
        "limit": limit.most,
        "ledgers": len(by_sender),
        "full": sum(one >= limit.most for one in fullest),
        "largest": max(fullest, default=0),
        "with_duplicates": max(every, default=0),
        "holds": max(every, default=0) <= limit.most,
    }


def _firsts(notes: Iterable[Note]) -> list[float]:
    firsts: dict[Key, float] = {}
    for note in notes:
        firsts.setdefault(note.key, note.at)
    return list(firsts.values())


def crowded(times: Sequence[float], span: float) -> int:
    """Return the most of the times, in order, in any closed span."""
    start = most = 0
    for end, at in enumerate(times):
        while times[start] < at - span:
            start += 1
        most = max(most, end - start + 1)
    return most


def _refusals(story: Story) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for one in story.refusals:
        counts[f"{one.code} {one.text}".strip()] += 1
    return dict(counts)
