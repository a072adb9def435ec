"""What a step of the queue raises is told and ends there; being cancelled, and the end of the process, do not."""

import asyncio

import pytest

from relay.queue.context import ErrorBoundary


class Told:
    """A watch that remembers what it was told."""

    def __init__(self) -> None:
        self.unexpected_errors: list[tuple[str, BaseException]] = []

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        self.unexpected_errors.append((queue_id, error))

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        raise AssertionError

    def clock_set(self, step: float) -> None:
        raise AssertionError

    def store_trouble(self, error: Exception) -> None:
        raise AssertionError


def _answer(told: Told, error: BaseException | None) -> str:
    with ErrorBoundary(told, "0000000000AB"):
        if error is not None:
            raise error
        return "the step's"
    return "without it"


def test_a_step_that_ends_well_keeps_its_answer() -> None:
    told = Told()
    assert _answer(told, None) == "the step's"
    assert told.unexpected_errors == []


def test_what_a_step_raises_is_told_and_ends_there() -> None:
    told = Told()
    error = RuntimeError("a fault of ours")
    assert _answer(told, error) == "without it"
    assert told.unexpected_errors == [("0000000000AB", error)]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt()])
def test_being_cancelled_is_passed_on(error: BaseException) -> None:
    told = Told()
    with pytest.raises(type(error)):
        _answer(told, error)
    assert told.unexpected_errors == []
