"""Suppressions after their end: the message that tests the address, and its result.

Writes run inside the writer's transaction.
"""

from collections.abc import Callable, Iterable, Mapping

from relay.mail.canonical_address import keys_of
from relay.queue.entry import Entry
from relay.storage.database import Connection
from relay.suppression.model import MANUAL

NOT_ENQUEUED = 60.0
"""Seconds that a message without an entry in the queue keeps its place as the testing one: it is being accepted."""

_ON_PROBATION = f"lifted = 0 AND expires_at > 0 AND expires_at <= ? AND reason != '{MANUAL}'"

TAKE = (
    "UPDATE suppressions SET probation = ?, probation_at = ? "  # noqa: S608  names only
    f"WHERE address = ? AND domain IN ('', ?, ?) AND {_ON_PROBATION} AND probation != ? AND probation_at < ? "
    "AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.queue_id = suppressions.probation "
    "AND recipient_key = ? AND state IN ('waiting', 'active'))"
)

TAKEN = (
    "SELECT probation FROM suppressions "  # noqa: S608  names only
    f"WHERE address = ? AND domain IN ('', ?, ?) AND {_ON_PROBATION} AND probation != ?"
)

LIFT = "UPDATE suppressions SET lifted = 1 WHERE address = ? AND probation = ?"

FORGET = "DELETE FROM suppressions WHERE lifted = 1 AND probation_at < ?"

LIMIT = "UPDATE suppressions SET expires_at = created_at + ? WHERE reason = ? AND expires_at = 0"


def begin(
    addresses: Mapping[str, str], sender: tuple[str, str], queue_id: str, now: float
) -> Callable[[Connection], Mapping[str, str]]:
    """Make the message the one that tests these addresses (as stored, with their canonical form), for its
    sender: domain and identity.

    Return the queue ids of other messages that test one of them, by canonical form.
    """

    def operation(raw: Connection) -> Mapping[str, str]:
        others: dict[str, str] = {}
        for address, form in sorted(addresses.items()):
            place = (address, *sender, now)
            raw.execute(TAKE, (queue_id, now, *place, queue_id, now - NOT_ENQUEUED, form))
            for row in raw.execute(TAKEN, (*place, queue_id)).fetchall():
                others[form] = row[0]
        return others

    return operation


def lift(raw: Connection, delivered: Iterable[Entry]) -> None:
    """Lift the suppressions that delivered entries tested.

    The rows are kept, unlisted: a bounce of the message may still come by mail.
    """
    raw.executemany(LIFT, sorted((key, one.queue_id) for one in delivered for key in keys_of(one.recipient)))


def limit(lengths: Mapping[str, float]) -> Callable[[Connection], None]:
    """Give rows without an end one, by their reason."""
    values = [(seconds, reason) for reason, seconds in lengths.items()]

    def operation(raw: Connection) -> None:
        raw.executemany(LIMIT, values)

    return operation
