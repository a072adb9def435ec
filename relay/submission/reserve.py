"""Places at acceptance: each recipient takes one with the first provider that has room, else with the earliest."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from relay.limits.ports import LimitStore, Slot
from relay.limits.window import Ledgers
from relay.queue.routing import Route, choose_route


async def reserve_slots(
    limits: LimitStore, queue_id: str, numbers: Sequence[int], ways: Mapping[str, Ledgers], at: float
) -> Mapping[int, Route]:
    """Return the way of each recipient, with its place taken.

    `ways` has what to ask for by provider, the preferred first; whoever finds room at `at` takes it. The others take
    their turn one by one, so that each finds the ways as those before it left them.
    """
    first = next(iter(ways))
    if not any(ways.values()):
        return dict.fromkeys(numbers, Route(first, at))
    found: dict[int, Route] = {}
    asked: dict[int, list[tuple[str, float]]] = {number: [] for number in numbers}
    waiting = list(numbers)
    order = _worth_asking(ways)
    for provider in order:
        for number, time in zip(waiting, await _ask(limits, queue_id, waiting, ways[provider], at), strict=True):
            asked[number].append((provider, time))
        found |= {number: choose_route(first, asked[number], {}, at) for number in waiting}
        waiting = [number for number in waiting if found[number].at > at]
    if len(order) > 1 and waiting:
        await limits.release(queue_id, waiting)
        for number in waiting:
            found[number] = await _earliest(limits, queue_id, number, {one: ways[one] for one in order}, at)
    return found


async def _earliest(limits: LimitStore, queue_id: str, number: int, ways: Mapping[str, Ledgers], at: float) -> Route:
    """Take the earliest place there is by any way."""
    asked = [(provider, (await _ask(limits, queue_id, [number], ways[provider], at))[0]) for provider in ways]
    chosen = choose_route(next(iter(ways)), asked, {}, at)
    if chosen.provider == asked[-1][0]:
        return chosen
    (time,) = await _ask(limits, queue_id, [number], ways[chosen.provider], at)
    return replace(chosen, at=time)


async def _ask(
    limits: LimitStore, queue_id: str, numbers: Sequence[int], ledgers: Ledgers, at: float
) -> Sequence[float]:
    """Move the places of recipients into these ledgers; where there is none, they only give up those they have."""
    if not numbers:
        return ()
    if not ledgers:
        await limits.release(queue_id, numbers)
        return [at] * len(numbers)
    return await limits.reserve([Slot(queue_id, number, ledgers) for number in numbers], [at] * len(numbers))


def _worth_asking(ways: Mapping[str, Ledgers]) -> list[str]:
    """Return the ways up to the first without a quota of its own: behind it only the identity can be in the way."""
    order: list[str] = []
    for provider, ledgers in ways.items():
        order.append(provider)
        if f"provider:{provider}" not in ledgers:
            break
    return order
