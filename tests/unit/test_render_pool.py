"""The pool of renderers: what a worker cannot survive takes down a worker, and no message."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import relay
from relay.domains.keys import Keys
from relay.mail.queue_id import queue_id
from relay.mailauth.dkim_keys import generate_key, load_key
from relay.render import pool as render_pool
from relay.render.pool import OUTSTANDING, InlineRenderer, RenderPool
from relay.render.render import Rendering, Stored, render
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring
from tests.servers.waiting import PATIENCE

RING = Keyring((("k1", b"k" * 32),))


KEYS = Keys(RING)


TRACKING = Tracking(base_url="https://t.acme.test")


CONTENT = (
    b"From: a@acme.test\r\nSubject: hello\r\nContent-Type: text/html\r\n\r\n"
    b'<html><body><a href="https://shop.test/">x</a></body></html>\r\n'
)


STORED = Stored(queue_id(1_700_000_000.0, 1), 1_700_000_000.0, "app@acme.test", CONTENT, b"", "acme.test", TRACKING)


BLOAT = replace(STORED, content=CONTENT + b"<p>x</p>\r\n" * 7_000_000)


class Pool(RenderPool):
    """A pool whose processes can be found, and that keeps what failed."""

    def __init__(self, *, workers: int = 1, timeout: float = 10.0, max_memory: int = 64 << 20) -> None:
        self.failures: list[tuple[str, str]] = []
        super().__init__(
            KEYS,
            workers=workers,
            timeout=timeout,
            max_memory=max_memory,
            on_failure=lambda queue_id, reason: self.failures.append((queue_id, reason)),
        )

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers]

    def answers_outstanding(self) -> int:
        return sum(len(worker.pending) for worker in self._workers)


@asynccontextmanager
async def pool(**options: float) -> AsyncIterator[Pool]:
    started = Pool(**options)  # type: ignore[arg-type]
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


def is_plain(rendering: Rendering) -> bool:
    """Whether it is the message without tracking, and says why."""
    return rendering.content == CONTENT and "rendering failed" in str(rendering.notes["skipped"])


async def test_a_worker_renders_as_this_process_does() -> None:
    async with pool(workers=2) as started:
        expected = render(STORED, [0, 1, 2], KEYS, eight_bit=True)
        assert list(await started.render(STORED, [0, 1, 2], eight_bit=True)) == expected
        assert list(await InlineRenderer(KEYS).render(STORED, [0, 1, 2], eight_bit=True)) == expected
        assert started.failures == []


async def test_many_at_once_come_back_to_who_asked() -> None:
    async with pool(workers=2) as started:
        answers = await asyncio.gather(*(started.render(STORED, [number], eight_bit=True) for number in range(50)))
        assert [one for (one,) in answers] == render(STORED, range(50), KEYS, eight_bit=True)


async def test_new_keys_hold_for_the_next_message() -> None:
    async with pool(workers=2) as started:
        signing = load_key(generate_key("ed25519-sha256"), "acme.test", "s1")
        new = Keys(Keyring((("k2", b"n" * 32), ("k1", b"k" * 32))), {"acme.test": (signing,)})
        (before,) = await started.render(STORED, [0], eight_bit=True)
        assert b"DKIM-Signature" not in before.content
        started.use(new)
        for _ in range(4):
            assert list(await started.render(STORED, [0], eight_bit=True)) == render(STORED, [0], new, eight_bit=True)


async def test_a_worker_that_is_replaced_has_the_keys_in_force() -> None:
    async with pool() as started:
        new = Keys(Keyring((("k2", b"n" * 32),)))
        started.use(new)
        (pid,) = started.pids
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while started.pids in ([pid], []):
                await asyncio.sleep(0.01)
        assert list(await started.render(STORED, [0], eight_bit=True)) == render(STORED, [0], new, eight_bit=True)


async def test_a_worker_that_dies_over_a_message_is_replaced_and_the_message_goes_out_plain() -> None:
    async with pool() as started:
        (pid,) = started.pids
        os.kill(pid, signal.SIGSTOP)
        asked = [asyncio.create_task(started.render(STORED, [number], eight_bit=True)) for number in range(OUTSTANDING)]
        async with asyncio.timeout(PATIENCE):
            while started.answers_outstanding() < OUTSTANDING:
                await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        (first,), *others = await asyncio.gather(*asked)
        assert is_plain(first)
        assert [one for (one,) in others] == render(STORED, range(1, OUTSTANDING), KEYS, eight_bit=True)
        assert started.failures == [(STORED.queue_id, "the renderer ended")]
        assert started.pids != [pid]


async def test_a_worker_that_hangs_is_ended() -> None:
    async with pool(timeout=1.0) as started:
        await started.render(STORED, [0], eight_bit=True)
        (pid,) = started.pids
        os.kill(pid, signal.SIGSTOP)
        (plain,) = await started.render(STORED, [0], eight_bit=True)
        assert is_plain(plain)
        assert started.failures == [(STORED.queue_id, "no answer within 1 s")]
        assert not Path(f"/proc/{pid}").exists()
        (again,) = await started.render(STORED, [0], eight_bit=True)
        assert again == render(STORED, [0], KEYS, eight_bit=True)[0]


async def test_a_message_that_needs_too_much_memory_goes_out_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_pool, "BASE_MEMORY", 160 << 20)
    async with pool(max_memory=1 << 20) as started:
        (rendering,) = await started.render(BLOAT, [3], eight_bit=True)
        assert rendering.content == BLOAT.content
        assert "rendering failed" in str(rendering.notes["skipped"])
        assert started.failures[0][0] == STORED.queue_id
        assert list(await started.render(STORED, [0], eight_bit=True)) == render(STORED, [0], KEYS, eight_bit=True)


async def test_stopping_ends_every_process() -> None:
    async with pool(workers=3) as started:
        pids = started.pids
        assert len(set(pids)) == 3
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_a_worker_imports_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "imported"
    hostile = tmp_path / "work"
    (hostile / "relay").mkdir(parents=True)
    for name in ("json", "pickle", "re", "struct", "sitecustomize", "usercustomize", "relay/__init__"):
        (hostile / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write('{name} ')\nraise SystemExit(3)\n")
    monkeypatch.chdir(hostile)
    for variable in ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"):
        monkeypatch.setenv(variable, str(hostile))
    monkeypatch.setenv("PYTHONSTARTUP", str(hostile / "re.py"))
    async with pool() as started:
        assert list(await started.render(STORED, [0], eight_bit=True)) == render(STORED, [0], KEYS, eight_bit=True)
    assert not mark.exists(), mark.read_text()


async def test_a_worker_runs_the_package_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(relay.__file__).parent
    shutil.copytree(root, tmp_path / "relay")
    with (tmp_path / "relay" / "__init__.py").open("a") as file:
        file.write("print(__file__)\n")
    monkeypatch.setattr(relay, "__file__", str(tmp_path / "relay" / "__init__.py"))
    command = render_pool.isolated(render_pool.PROGRAM, "relay")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd="/"
    )
    said, _ = await process.communicate()
    assert said.decode().splitlines() == [str(tmp_path / "relay" / "__init__.py")]


async def test_a_worker_inherits_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_TRACKER__KEYS", "k1:secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    async with pool() as started:
        (pid,) = started.pids
        await started.render(STORED, [0], eight_bit=True)
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
