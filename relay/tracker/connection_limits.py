"""Limits of the tracker's connections. The server starts from them before it loads HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Maximum of connections, in all and per client, and seconds without an answer after which one is closed."""

    connections: int = 2000
    connections_per_client: int = 100
    answer_timeout: float = 10.0
