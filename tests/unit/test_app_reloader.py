"""Reloads of one relay follow one another."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from relay.app.configuration import Configuration, FileContent
from relay.app.reloader import Reloader


class _Counting(ThreadPoolExecutor):
    """Counts the calls that were given to threads."""

    calls = 0

    def submit(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        return super().submit(*given, **named)


class _Reading:
    """A configuration whose file is read until it is released, and has a fault then."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def read(self) -> FileContent:
        assert self.released.wait(30)
        return FileContent(faults=("wrong",))


class _Part:
    """Stands for parts that a refused reload does not use."""

    def __getattr__(self, _name: str) -> Any:
        return self

    def __call__(self, *_given: Any, **_named: Any) -> Any:
        return self


async def test_a_reload_waits_for_the_one_before() -> None:
    counting, reading, part = _Counting(), _Reading(), cast("Any", _Part())
    asyncio.get_running_loop().set_default_executor(counting)
    reloader = Reloader(
        context=part,
        configuration=cast("Configuration", reading),
        mail=part,
        webhooks=part,
        resume_changed=part,
    )
    both = asyncio.gather(reloader.reload(), reloader.reload())
    for _ in range(5):
        await asyncio.sleep(0)
    assert counting.calls == 1
    reading.released.set()
    assert list(map(dict, await both)) == [{"faults": ["wrong"]}, {"faults": ["wrong"]}]
    assert counting.calls == 2
