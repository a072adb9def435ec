"""The limit of open files of the process (RLIMIT_NOFILE), which connections use up."""

import resource

from relay.acceptor import MAX_PREAMBLES
from relay.config import Settings
from relay.log import Emit
from relay.tracker.connection_limits import ConnectionLimits

OTHERS = 256
"""Files beside connections: store, spool, log, renderers, admin API, temporary files of large messages."""


def needed_files(settings: Settings) -> int:
    """Return the files that are open when all limits of connections are reached."""
    accepting = sum(listener.tls == "implicit" or listener.proxy_protocol for listener in settings.listeners)
    preambles = MAX_PREAMBLES * (accepting + settings.tracker.proxy_protocol)
    tracker = ConnectionLimits().connections if settings.tracker.address else 0
    return settings.smtp.max_connections + preambles + tracker + settings.delivery.max_connections + OTHERS


def possible_connections(wanted: int, settings: Settings) -> int:
    """Return how many of the `wanted` connections of one kind the process may open within its limit of open files.

    Half of a low limit, at most OTHERS, is kept for files beside connections. Each kind gets an equal part of the rest.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = needed_files(settings)
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return wanted
    usable = limit - min(OTHERS, limit // 2)
    return max(1, wanted * usable // (needed - OTHERS))


def raise_file_limit(settings: Settings, log: Emit) -> None:
    """Raise the soft limit to what the connections need. Log when the hard limit is lower.

    At the limit no listener accepts and no delivery connects: the usual soft limit of 1024 is reached before the limits
    of connections are. Under a lower hard limit there are fewer connections, by `possible_connections`.
    """
    needed = needed_files(settings)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return

    possible = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if possible > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < needed:
        log("server.few_files", limit=possible, needed=needed)
