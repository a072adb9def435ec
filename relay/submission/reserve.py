"""Reserves a send slot for each recipient: with the first provider that has capacity, else with the earliest."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from relay.limits.ports import LimitStore, Slot
from relay.limits.window import Ledgers
from relay.mail.canonical_address import canonical
from relay.mail.transaction import Recipient
from relay.queue.exclusion_check import PROBATION_WAIT
from relay.queue.routing import Route, choose_route
from relay.suppression.exclusion import Excluded


async def reserve_slots(
    limits: LimitStore, queue_id: str, numbers: Sequence[int], limits_by_provider: Mapping[str, Ledgers], at: float
) -> Mapping[int, Route]:
    """Return the provider and time of each recipient, with its slot reserved.

    `limits_by_provider` is in order of preference. Recipients without capacity at `at` are then reserved one by one,
    because each reservation changes the times of the next.
    """
    first = next(iter(limits_by_provider))
    if not any(limits_by_provider.values()):
        return dict.fromkeys(numbers, Route(first, at))

    found: dict[int, Route] = {}
    offers: dict[int, list[tuple[str, float]]] = {number: [] for number in numbers}
    remaining = list(numbers)

    order = _useful_providers(limits_by_provider)
    for provider in order:
        for number, time in zip(
            remaining, await _reserve(limits, queue_id, remaining, limits_by_provider[provider], at), strict=True
        ):
            offers[number].append((provider, time))
        found |= {number: choose_route(first, offers[number], {}, at) for number in remaining}
        remaining = [number for number in remaining if found[number].at > at]

    if len(order) > 1 and remaining:
        await limits.release(queue_id, remaining)
        for number in remaining:
            found[number] = await _reserve_earliest(
                limits, queue_id, number, {one: limits_by_provider[one] for one in order}, at
            )

    return found


def waiting_for_probation(
    routes: Mapping[int, Route], recipients: Sequence[Recipient], found: Excluded, now: float
) -> Mapping[int, Route]:
    """Return the routes; recipients that have to wait for the result of another message are checked again later."""
    if not found.testers:
        return routes
    waits = {number: found.waits_for(canonical(recipients[number].address)) for number in routes}
    return {
        number: replace(route, at=max(route.at, now + PROBATION_WAIT), why=waits[number]) if waits[number] else route
        for number, route in routes.items()
    }


async def _reserve_earliest(
    limits: LimitStore, queue_id: str, number: int, limits_by_provider: Mapping[str, Ledgers], at: float
) -> Route:
    """Reserve the earliest slot of all providers."""
    offers = [
        (provider, (await _reserve(limits, queue_id, [number], limits_by_provider[provider], at))[0])
        for provider in limits_by_provider
    ]
    chosen = choose_route(next(iter(limits_by_provider)), offers, {}, at)
    if chosen.provider == offers[-1][0]:
        return chosen
    (time,) = await _reserve(limits, queue_id, [number], limits_by_provider[chosen.provider], at)
    return replace(chosen, at=time)


async def _reserve(
    limits: LimitStore, queue_id: str, numbers: Sequence[int], ledgers: Ledgers, at: float
) -> Sequence[float]:
    """Move the slots of recipients into these ledgers, or release them if there are no ledgers."""
    if not numbers:
        return ()
    if not ledgers:
        await limits.release(queue_id, numbers)
        return [at] * len(numbers)
    return await limits.reserve([Slot(queue_id, number, ledgers) for number in numbers], [at] * len(numbers))


def _useful_providers(limits_by_provider: Mapping[str, Ledgers]) -> list[str]:
    """Return the providers up to the first without a quota: behind it only the identity's limit can delay."""
    order: list[str] = []
    for provider, ledgers in limits_by_provider.items():
        order.append(provider)
        if f"provider:{provider}" not in ledgers:
            break
    return order
