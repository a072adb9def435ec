"""Errors of psycopg as those of the store: by whose fault a statement failed."""

import psycopg

from relay.events.ports import RejectedError, StoreError
from relay.storage.errors import AwayError

_SERVER_FAULTS = ("08", "25006", "53", "57P", "58", "XX")
"""SQLSTATEs, or prefixes of them, of faults that do not belong to one statement."""

_VALUE_FAULTS = ("21", "22", "23", "54")
"""Classes of SQLSTATE of values that the database cannot hold."""


def is_away(error: BaseException) -> bool:
    """Whether the error comes from the server as a whole, or from the network."""
    if not isinstance(error, psycopg.Error) or isinstance(error, psycopg.errors.PipelineAborted):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_SERVER_FAULTS)


class BusyError(StoreError):
    """A lock was not granted within its time limit."""


def store_error(error: Exception) -> StoreError:
    """Convert an error of the driver; `full` for a full disk. The text contains no password."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = f"PostgreSQL: {lines[0]}"
    if is_away(error):
        return AwayError(text, full=isinstance(error, psycopg.errors.DiskFull))
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return BusyError(text)
    return RejectedError(text) if _is_of_the_values(error) else StoreError(text)


def _is_of_the_values(error: Exception) -> bool:
    """Whether the server or the driver cannot hold the values of a statement."""
    if not isinstance(error, psycopg.Error):
        return True
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    return error.sqlstate.startswith(_VALUE_FAULTS)
