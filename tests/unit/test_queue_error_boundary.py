"""An exception of a queue step is reported and suppressed; a cancellation and the end of the process are not."""

import asyncio

import pytest

from relay.queue.context import ErrorBoundary
from relay.queue.site_rate import RateChange


class RecordingObserver:
    """An observer that records its calls."""

    def __init__(self) -> None:
        self.unexpected_errors: list[tuple[str, BaseException]] = []

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        self.unexpected_errors.append((queue_id, error))

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        raise AssertionError

    def clock_set(self, step: float) -> None:
        raise AssertionError

    def site_changed(self, change: RateChange) -> None:
        raise AssertionError

    def settled_plainly(self, queue_id: str, entries: int) -> None:
        """Nothing to do."""

    def store_trouble(self, error: Exception) -> None:
        raise AssertionError


def _answer(observer: RecordingObserver, error: BaseException | None) -> str:
    with ErrorBoundary(observer, "0000000000AB"):
        if error is not None:
            raise error
        return "the step's"
    return "without it"


def test_a_step_without_an_exception_keeps_its_result() -> None:
    observer = RecordingObserver()
    assert _answer(observer, None) == "the step's"
    assert observer.unexpected_errors == []


def test_an_exception_of_a_step_is_reported_and_suppressed() -> None:
    observer = RecordingObserver()
    error = RuntimeError("a fault of ours")
    assert _answer(observer, error) == "without it"
    assert observer.unexpected_errors == [("0000000000AB", error)]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt()])
def test_a_cancellation_is_passed_on(error: BaseException) -> None:
    observer = RecordingObserver()
    with pytest.raises(type(error)):
        _answer(observer, error)
    assert observer.unexpected_errors == []
