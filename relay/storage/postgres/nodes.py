"""Nodes that share a database: their identity, leases and share of the connections."""

import fcntl
import os
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay import __version__
from relay.queue.nodes import NodeShare, NodeState
from relay.storage.database import Database
from relay.storage.errors import StoreLockedError

NODE_FILE = "node"
"""Name of the file in the data directory with the node's id, made at its first start."""

LEASE = 12.0
"""Seconds that a lease is valid after a heartbeat."""

HEARTBEAT = 3.0
"""Seconds between two heartbeats."""

TAKEOVER = 30.0
"""Seconds after the last heartbeat of a node until others take its entries over.

A server may have accepted some of them. Only the node has the record of that, in its delivery journal: it has this time
to start again and settle them. Afterwards they are sent again.
"""

KNOWN = 2 * HEARTBEAT
"""Seconds after the start of a node until all other live nodes have read its row."""

CLOCK_TOLERANCE = 1.0
"""Seconds by which the clock of a node may differ from the database's without a warning."""

CLOCK_BOUND = 30.0
"""Seconds of difference above which a node takes no part in deliveries: it would retry too early, and exceed limits."""

NOW = "extract(epoch FROM clock_timestamp())::float8"
"""Time for leases: the database's clock, which all nodes share."""

REGISTER = (
    "INSERT INTO nodes (node, hostname, version, boot, lease, former, started_at, heartbeat_at) "  # noqa: S608
    f"VALUES (?, ?, ?, ?, ?, '', {NOW}, {NOW}) ON CONFLICT (node) DO UPDATE SET hostname = excluded.hostname, "
    "version = excluded.version, boot = excluded.boot, lease = excluded.lease, heartbeat_at = excluded.heartbeat_at, "
    "started_at = CASE WHEN nodes.boot = excluded.boot THEN nodes.started_at ELSE excluded.started_at END, "
    "former = CASE WHEN nodes.boot = excluded.boot OR nodes.lease = '' THEN nodes.former ELSE nodes.lease END, "
    "former_until = CASE WHEN nodes.boot = excluded.boot THEN nodes.former_until ELSE 0 END"
)

RENEW = f"UPDATE nodes SET heartbeat_at = {NOW}, clock = ? WHERE node = ? AND lease = ? RETURNING node"  # noqa: S608

EXPIRE = (
    "UPDATE nodes SET lease = '', former = before.lease, former_until = before.heartbeat_at + ? "  # noqa: S608
    "FROM nodes AS before WHERE before.node = nodes.node "
    f"AND nodes.lease != '' AND nodes.heartbeat_at < {NOW} - ? RETURNING nodes.node, (SELECT count(*) FROM entries "
    "WHERE state = 'active' AND entries.lease IN (before.lease, before.former) AND entries.lease != '')"
)
"""Ends expired leases, which stay former ones for a while; returns each node with the number of its entries."""

FORGET_EXPIRED = f"UPDATE nodes SET former = '' WHERE former != '' AND former_until > 0 AND former_until < {NOW}"  # noqa: S608
"""Ends former leases whose time is over: their entries are taken over."""

LIVE = "SELECT node, clock FROM nodes WHERE lease != '' ORDER BY node"

NODES = (
    "SELECT node, hostname, version, started_at, heartbeat_at, lease != '' AND heartbeat_at >= "  # noqa: S608
    f"{NOW} - ?, (SELECT count(*) FROM entries WHERE state = 'active' AND entries.lease = nodes.lease "
    "AND entries.lease != ''), clock FROM nodes ORDER BY hostname, node"
)


def clock_ahead(here: float, there: float, *, uncertain: float) -> float:
    """Return the seconds by which `here` is ahead of `there`, 0 within the uncertainty of the measurement."""
    ahead = here - there
    return 0.0 if abs(ahead) <= uncertain else ahead - uncertain if ahead > 0 else ahead + uncertain


def working(clocks: Mapping[str, float]) -> Sequence[str]:
    """Return the nodes that take part in deliveries: those whose clock is not wrong beyond CLOCK_BOUND.

    A clock is wrong if another node's differs from it by more, and is nearer to the database's. If the clock of the
    database is wrong itself, or there is one node only, all go on.
    """
    return [
        node
        for node, own in clocks.items()
        if abs(own) <= CLOCK_BOUND
        or not any(abs(one) < abs(own) and abs(own - one) > CLOCK_BOUND for one in clocks.values())
    ]


@dataclass(frozen=True, slots=True)
class Node:
    """One process, as it registers itself."""

    id: str
    """Stays the same over restarts."""
    hostname: str
    version: str
    boot: str
    """Different for every start."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of the clock of this node against that of the database: seconds ahead, whether it is off, and works."""

    ahead: float
    off: bool
    works: bool


class NodeFile:
    """The file with a node's id; it is locked while the node runs, so that no other process uses the id."""

    def __init__(self, data_dir: Path) -> None:
        """Read the id, or make one at the first start. Raises StoreLockedError while another process has it."""
        self.path = data_dir / NODE_FILE
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StoreLockedError(
                f"{self.path}: another relay process works with this data directory; "
                "stop that one, or give each its own"
            ) from None

        stored = os.pread(self._descriptor, 64, 0).decode("ascii", "replace").strip()
        self.id = stored or uuid.uuid4().hex
        if not stored:
            os.pwrite(self._descriptor, f"{self.id}\n".encode(), 0)
            os.fsync(self._descriptor)

    def node_info(self) -> Node:
        """Describe this run of the node."""
        return Node(self.id, socket.gethostname(), __version__, uuid.uuid4().hex)

    def release(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def node_id(data_dir: Path) -> str:
    """Return the id of the node with that data directory, "" if there was none."""
    try:
        return (data_dir / NODE_FILE).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class NodeRegistry:
    """Implements NodeStore: the nodes that share the database, as of the last heartbeat."""

    def __init__(self, node: str, database: Database) -> None:
        self.id = node
        """Id of this node."""
        self.live: Sequence[str] = ()
        """Ids of the live nodes that take part in deliveries, in order."""
        self._off = False
        self._database = database
        self._known_at = time.monotonic() + KNOWN

    @property
    def leads(self) -> bool:
        """Whether this is the first live node, which runs the tasks that are done once for all nodes."""
        return self.live[:1] == [self.id]

    @property
    def share(self) -> NodeShare:
        """Share of the connections that belongs to this node; none until all other nodes have read its row."""
        if self.id not in self.live or (len(self.live) > 1 and time.monotonic() < self._known_at):
            return NodeShare(0, 0)
        return NodeShare(self.live.index(self.id), len(self.live))

    def update(self, clocks: Mapping[str, float], *, renewed: bool) -> ClockChange | None:
        """Apply a heartbeat; return what to report about the clock of this node, None if nothing changed.

        After a lost lease, or a clock that was wrong, the other nodes have to read this node's row again.
        """
        was_working, self.live = self.id in self.live, working(clocks)
        works = self.id in self.live
        if not renewed or (works and not was_working):
            self._known_at = time.monotonic() + KNOWN

        was_off, ahead = self._off, clocks.get(self.id, 0.0)
        self._off = abs(ahead) > (CLOCK_TOLERANCE / 2 if was_off else CLOCK_TOLERANCE)
        if self._off == was_off and (works == was_working or not self._off):
            return None
        return ClockChange(ahead, off=self._off, works=works)

    async def states(self) -> Sequence[NodeState]:
        """Return all nodes that ever shared the database, by host."""
        return await self._database.read(lambda raw: [NodeState(*row) for row in raw.execute(NODES, (LEASE,))])
