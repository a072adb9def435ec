"""The unexpected: what nobody foresaw in a step of the queue is told, and concerns no more than that step.

Everything is caught in exactly two places, because the mail beside it must go on: at the SMTP edge
(`relay.smtp.connection`), and here for the queue.
"""

from types import TracebackType

from relay.mail.reply import Reply
from relay.queue.outcome import Deferred
from relay.queue.ports import Watch

UNEXPECTED = Deferred(Reply(451, "4.3.0", "Internal error while delivering; it is in the log and will be tried again"))
"""The outcome of a step that raised: the unknown is temporary."""


class Surviving:
    """A step for one message: `with Surviving(watch, queue_id): return answer`, and after it what holds without.

    Whatever the step raises is told to the watch and ends there; being cancelled is passed on.
    """

    __slots__ = ("_queue_id", "_watch")

    def __init__(self, watch: Watch, queue_id: str) -> None:
        self._watch = watch
        self._queue_id = queue_id

    def __enter__(self) -> None:
        """Begin the step."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        """Tell of an exception; return whether it ends here."""
        if not isinstance(error, Exception):
            return False
        self._watch.unexpected(self._queue_id, error)
        return True
