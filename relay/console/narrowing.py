"""Filters for people who are restricted to sending domains: what they see of pauses, sites and queue. Pure.

A lane, a site and a provider carry mail of all domains. Replies that paused one may name recipients of the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from relay.config.settings import Settings
from relay.console.roles import Viewer
from relay.mail.canonical_address import domain_of
from relay.queue.pause import Pause
from relay.queue.routing import LanePause
from relay.queue.wait_reasons import Reason

MAX_PICKED = 10_000
"""Open entries of all domains, at most, from which a page picks out those of some. Their index has no domain."""

TOO_MANY = (
    "The queue has no order by sending domain, and too much waits in it to pick out yours for a page. "
    "Messages with the status Waiting are found without it, and so are single recipients and queue ids."
)
"""Why the queue of some domains is not shown."""


def providers_of(settings: Settings, viewer: Viewer) -> frozenset[str]:
    """Return the providers that mail of the viewer's domains may take."""
    return frozenset(name for domain in viewer.domains for name in settings.all_providers_for(domain))


def shown_lanes(lanes: Mapping[str, LanePause], settings: Settings, viewer: Viewer) -> Mapping[str, LanePause]:
    """Return the pauses that the viewer sees: with domains those of the own providers, without the reply."""
    if not viewer.domains:
        return lanes
    own = {f"provider:{name}" for name in providers_of(settings, viewer)}
    return {lane: replace(pause, why="") for lane, pause in lanes.items() if lane in own}


def shown_holds(holds: Iterable[Pause], viewer: Viewer) -> Sequence[Pause]:
    """Return the pauses that hold mail back; with `domains` those of these domains and their identities."""
    return [one for one in holds if not viewer.domains or _is_of(one.subject, viewer)]


def _is_of(subject: str, viewer: Viewer) -> bool:
    kind, _, value = subject.partition(":")
    return kind == "identity" and viewer.sees(domain_of(value))


def shown_reasons(reasons: Sequence[Reason], viewer: Viewer) -> Sequence[Reason]:
    """Return why an entry waits: with domains without what concerns mail of others."""
    if not viewer.domains:
        return reasons
    return [replace(one, text=one.for_sender) for one in reasons]
