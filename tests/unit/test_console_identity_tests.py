"""Tests of identities in the background: one at a time, with the remarks of each step, also when the store fails."""

import asyncio
from typing import Any, cast

from relay.console.identity_tests import MAX_RESULTS, SETUP, IdentityTests
from relay.events.ports import StoreError
from relay.verification.verifier import Verifier


class Steps:
    """Runs steps when it is let: in the place of a verifier, whose mail takes a minute."""

    def __init__(self, fails_at: str = "") -> None:
        self.ran: list[tuple[str, str]] = []
        self.fails_at = fails_at
        self.go = asyncio.Event()

    async def run(self, address: str, step: str) -> dict[str, Any]:
        await self.go.wait()
        self.ran.append((address, step))
        if step == self.fails_at:
            raise StoreError("the store is away")
        return {"step": step, "state": "passed", "remarks": []}


def running(steps: Steps) -> IdentityTests:
    return IdentityTests(cast(Verifier, steps))


async def finished(tests: IdentityTests, address: str) -> None:
    async with asyncio.timeout(10):
        while tests.is_running(address):
            await asyncio.sleep(0)


async def test_one_test_of_an_identity_runs_at_a_time() -> None:
    steps = Steps()
    tests = running(steps)
    tests.start("a@x.test", SETUP)
    tests.start("a@x.test", SETUP)
    tests.start("b@x.test", ["sending"])
    assert tests.is_running("a@x.test")
    assert not tests.is_running("c@x.test")
    steps.go.set()
    await finished(tests, "a@x.test")
    await finished(tests, "b@x.test")
    assert sorted(steps.ran) == sorted([("b@x.test", "sending"), *(("a@x.test", step) for step in SETUP)])
    assert tests.results("a@x.test").keys() == set(SETUP)


async def test_a_store_that_fails_ends_the_test_with_a_remark() -> None:
    steps = Steps("tracking")
    steps.go.set()
    tests = running(steps)
    tests.start("a@x.test", SETUP)
    await finished(tests, "a@x.test")
    assert [step for _, step in steps.ran] == ["sending", "tracking"]
    assert "the store is away" in str(tests.results("a@x.test"))
    tests.start("a@x.test", ["sending"])
    assert tests.is_running("a@x.test"), "another one can be begun"
    await finished(tests, "a@x.test")


async def test_tests_end_with_the_server() -> None:
    tests = running(Steps())
    tests.start("a@x.test", SETUP)
    await asyncio.sleep(0)
    await tests.close()
    assert not tests.is_running("a@x.test")


def test_the_last_results_of_many_identities_are_kept() -> None:
    tests = running(Steps())
    for number in range(MAX_RESULTS + 5):
        tests.keep(f"{number}@x.test", {"step": "sending"})
    assert tests.results("4@x.test") == {}
    assert tests.results("5@x.test").keys() == {"sending"}
