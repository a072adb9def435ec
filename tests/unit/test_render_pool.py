"""The pool of renderers: what a worker cannot survive takes down a worker, and no message."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import relay
from relay.content_file import ContentFile, ContentWriter
from relay.domains.relay_keys import Keys
from relay.limits.priority import Flow
from relay.mail.queue_id import queue_id
from relay.mailauth.dkim_keys import generate_key, load_key
from relay.render import frames as render_frames
from relay.render import process as render_process
from relay.render import process_group
from relay.render.message_policy import MessagePolicy
from relay.render.pool import MAX_CPU, OUTSTANDING, RenderPool
from relay.render.process import RendererProcess
from relay.render.process_group import MAX_WAIT, UNAVAILABLE_AFTER, pause
from relay.render.render import Rendering, RenderInput, render, reverse_path_for
from relay.render.renderer import ContentFiles, InlineRenderer
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
POLICY = MessagePolicy("acme.test", tracking=TRACKING)

STORED = RenderInput(queue_id(1_700_000_000.0, 1), 1_700_000_000.0, "app@acme.test", CONTENT, POLICY)
BLOAT = replace(STORED, content=CONTENT + b"<p>x</p>\r\n" * 7_000_000)


class Pool(RenderPool):
    """A pool whose processes can be found, and that keeps what failed."""

    def __init__(self, *, workers: int = 1, timeout: float = 10.0, max_memory: int = 64 << 20, **more: Any) -> None:
        self.failures: list[tuple[str, str]] = []
        self.restarts: list[tuple[str, float]] = []
        super().__init__(KEYS, workers=workers, timeout=timeout, max_memory=max_memory, watch=self, **more)

    def render_failed(self, queue_id: str, reason: str) -> None:
        self.failures.append((queue_id, reason))

    def renderer_ended(self, reason: str, wait: float) -> None:
        self.restarts.append((reason, wait))

    @property
    def pids(self) -> list[int]:
        return [renderer.process.pid for renderer in self.workers.renderers]

    def answers_outstanding(self) -> int:
        return sum(renderer.load for renderer in self.workers.renderers)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def pool(**options: Any) -> AsyncIterator[Pool]:
    started = Pool(**options)
    await started.start()
    await started.until(lambda: len(started.pids) == started.workers.size)
    try:
        yield started
    finally:
        await started.stop()


@contextmanager
def files_of(content: bytes, folder: Path) -> Iterator[ContentFiles]:
    source = ContentFile.of(content, folder)
    try:
        yield ContentFiles(source, ContentWriter(folder))
    finally:
        source.close()


def is_plain(rendering: Rendering) -> bool:
    """Whether it is the message without tracking, and says why."""
    return rendering.content == CONTENT and "rendering failed" in str(rendering.notes["skipped"])


async def test_a_worker_renders_as_this_process_does() -> None:
    async with pool(workers=2) as started:
        expected = render(STORED, [0, 1, 2], KEYS, eight_bit=True)
        assert list(await started.render(STORED, [0, 1, 2], eight_bit=True)) == expected
        assert list(await InlineRenderer(KEYS).render(STORED, [0, 1, 2], eight_bit=True)) == expected
        assert started.failures == []


@pytest.mark.parametrize("inline", [True, False])
async def test_a_content_in_a_file_is_rendered_into_another_one(tmp_path: Path, inline: bool) -> None:
    large = replace(STORED, content=STORED.content + b"<p>more</p>\r\n" * 100_000)
    async with pool() as started:
        renderer = InlineRenderer(KEYS) if inline else started
        (expected,) = render(large, [1], KEYS, eight_bit=True)
        with files_of(large.content, tmp_path) as files:
            made = await renderer.render_file(replace(large, content=b""), 1, files, eight_bit=True)
            assert made == replace(expected, content=b"")
            assert files.target.finish().read() == expected.content

            again = ContentFiles(files.source, ContentWriter(tmp_path))
            await renderer.render_file(replace(large, content=b""), 1, again, eight_bit=True)
            assert again.target.finish().read() == expected.content


async def test_a_content_in_a_file_that_cannot_be_rendered_is_sent_unmodified(tmp_path: Path) -> None:
    async with pool(max_memory=-(96 << 20)) as started:
        with files_of(BLOAT.content, tmp_path) as files:
            made = await started.render_file(replace(BLOAT, content=b""), 0, files, eight_bit=False)
            assert (made.content, made.reverse_path) == (b"", BLOAT.reverse_path)
            assert "rendering failed: MemoryError" in str(made.notes["skipped"])
            assert files.target.finish().read() == BLOAT.content


@pytest.mark.parametrize("inline", [True, False])
async def test_links_that_would_not_reach_the_tracker_are_not_sent(inline: bool) -> None:
    """The state of the moment of rendering decides, and the notes say why."""
    down = {"https://t.acme.test": "tracking: https://t.acme.test does not answer"}

    def why_down(base_url: str) -> str:
        return down.get(base_url, "")

    named = replace(STORED, policy=replace(POLICY, author_name="Acme"))
    async with pool(why_down=why_down) as started:
        renderer = InlineRenderer(KEYS, why_down) if inline else started
        (plain,) = await renderer.render(named, [0], eight_bit=True)
        (expected,) = render(named.without_tracking(), [0], KEYS, eight_bit=True)
        assert plain.content == expected.content
        assert plain.notes == {"author_name": "added", "skipped": [down["https://t.acme.test"]]}
        down.clear()
        (tracked,) = await renderer.render(named, [0], eight_bit=True)
        assert b"https://t.acme.test/c/" in tracked.content


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
        await started.until(lambda: started.pids not in ([pid], []))
        assert list(await started.render(STORED, [0], eight_bit=True)) == render(STORED, [0], new, eight_bit=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
async def test_a_signal_of_a_terminal_or_of_log_rotation_ends_no_worker(number: signal.Signals) -> None:
    async with pool() as started:
        (pid,) = started.pids
        assert list(await started.render(STORED, [0], eight_bit=True)) == render(STORED, [0], KEYS, eight_bit=True)
        os.kill(pid, number)
        assert list(await started.render(STORED, [0], eight_bit=True)) == render(STORED, [0], KEYS, eight_bit=True)
        assert started.pids == [pid]


async def test_a_message_over_which_a_worker_died_is_rendered_in_another_one_and_the_others_are_repeated() -> None:
    async with pool() as started:
        (pid,) = started.pids
        os.kill(pid, signal.SIGSTOP)
        asked = [asyncio.create_task(started.render(STORED, [number], eight_bit=True)) for number in range(OUTSTANDING)]
        await started.until(lambda: started.answers_outstanding() == OUTSTANDING)
        os.kill(pid, signal.SIGKILL)
        answers = await asyncio.gather(*asked)
        assert [one for (one,) in answers] == render(STORED, range(OUTSTANDING), KEYS, eight_bit=True)
        assert started.failures == []
        assert started.slow_worker.renderers
        assert started.pids != [pid]


async def test_a_message_that_kills_each_worker_goes_out_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    misbehaving(monkeypatch)
    async with pool() as started:
        (plain,) = await started.render(replace(STORED, content=b"X-Kill: 1\r\n" + CONTENT), [0], eight_bit=True)
        assert "rendering failed" in str(plain.notes["skipped"])
        assert b"https://t.acme.test" not in plain.content
        assert started.failures == [(STORED.queue_id, "the renderer ended")]
        (again,) = await started.render(STORED, [0], eight_bit=True)
        assert again == render(STORED, [0], KEYS, eight_bit=True)[0]


async def test_a_worker_that_hangs_is_ended() -> None:
    async with pool(timeout=1.0) as started:
        await started.render(STORED, [0], eight_bit=True)
        (pid,) = started.pids
        os.kill(pid, signal.SIGSTOP)
        (rendered,) = await started.render(STORED, [0], eight_bit=True)
        assert rendered == render(STORED, [0], KEYS, eight_bit=True)[0]
        assert started.restarts == [("no answer within 1 s, signal SIGKILL", 0.0)]
        assert not Path(f"/proc/{pid}").exists()


async def test_a_renderer_that_hangs_ends_by_itself_when_its_relay_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    misbehaving(monkeypatch)
    renderer = await RendererProcess.start(1 << 28, max_cpu=1)
    hanging = replace(STORED, content=b"X-Hang: 1\r\n" + CONTENT)
    answer = renderer.send(render_frames.Request(hanging, [0], True, render_frames.keys_for(hanging.policy, KEYS)))
    await asyncio.wait_for(renderer.process.wait(), PATIENCE)
    assert renderer.exit_reason() == "signal SIGPROF"
    await renderer.close()
    assert isinstance(await answer, render_frames.Failed)


async def test_a_renderer_that_is_not_waited_for_is_ended() -> None:
    renderer = await RendererProcess.start(1 << 28, max_cpu=10)
    pid = renderer.process.pid
    os.kill(pid, signal.SIGSTOP)
    closing = asyncio.create_task(renderer.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not Path(f"/proc/{pid}").exists()


async def test_small_messages_that_hang_stop_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each author of theirs takes a renderer from the others once, for the CPU time that one message may use."""
    misbehaving(monkeypatch)
    async with pool(workers=2, timeout=60.0) as started:
        texts = [b"X-Hang: %d\r\n%b" % (number, CONTENT) for number in range(20)]
        hanging = [replace(STORED, content=text, flow=Flow("network:a\t01")) for text in texts]
        tasks = [asyncio.create_task(started.render(one, [0], eight_bit=True)) for one in hanging]
        for number in range(30):
            (rendered,) = await started.render(replace(STORED, flow=Flow("identity:b")), [number], eight_bit=True)
            assert b"https://t.acme.test" in rendered.content
        killed = [reason for reason, _ in started.restarts]
        assert 1 <= len(killed) <= 2
        assert all(f"no answer within {MAX_CPU:g} s of CPU time" in reason for reason in killed)
        await started.until(lambda: [one.load for one in started.slow_worker.renderers] == [OUTSTANDING])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_message_that_needs_too_much_memory_goes_out_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_process, "BASE_MEMORY", 160 << 20)
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
    command = render_process.isolated(render_process.PROGRAM, "relay")
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


def program(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have renderers run another program; `fd` is their socket."""
    head = "import json, os, socket, sys\nfd = int(sys.argv[3])\nsock = socket.socket(fileno=fd)\n"
    monkeypatch.setattr(render_process, "PROGRAM", head + text)


def misbehaving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have renderers hang over content with X-Hang, and end over content with X-Kill, while it is tracked."""
    replaced = """
module = import_module(worker)
plain = module.render_contents
def render_contents(message, *more, **options):
    while b"X-Hang" in message.content and message.policy.tracking: pass
    if b"X-Kill" in message.content and message.policy.tracking: __import__("os")._exit(9)
    return plain(message, *more, **options)
module.render_contents = render_contents
module.main("""
    monkeypatch.setattr(
        render_process, "PROGRAM", render_process.PROGRAM.replace("import_module(worker).main(", replaced)
    )


def frame(head: object, octets: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return (4 + len(text) + len(octets)).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text + octets


def answering(answer: bytes) -> str:
    """A program that is ready, answers its first request with this, and waits for its end."""
    ready = f"sock.sendall({render_frames.READY!r})\nsock.recv(100)\n"
    return ready + f"sock.sendall({answer!r})\nwhile sock.recv(1 << 20): pass\n"


@asynccontextmanager
async def broken(**options: float) -> AsyncIterator[Pool]:
    """A pool whose renderers may never be ready."""
    started = Pool(**options)  # type: ignore[arg-type]
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pauses a thousandth of what they are."""
    monkeypatch.setattr(process_group, "FIRST_WAIT", process_group.FIRST_WAIT / 1000)


def test_pauses_between_restarts_grow_to_a_bound() -> None:
    assert [pause(number) for number in range(8)] == [0, 1, 2, 4, 8, 16, 32, MAX_WAIT]
    assert pause(10**6) == MAX_WAIT


async def test_a_renderer_that_dies_at_its_start_is_restarted_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(monkeypatch, "sys.exit(3)")
    quick(monkeypatch)
    async with broken() as started:
        await started.until(lambda: len(started.restarts) == 5)
        assert started.restarts[:5] == [
            ("not started: exit status 3", wait) for wait in (0, 0.001, 0.002, 0.004, 0.008)
        ]


async def test_a_renderer_that_answered_is_replaced_at_once() -> None:
    async with pool() as started:
        for number in range(1, 4):
            await started.render(STORED, [0], eight_bit=True)
            os.kill(started.pids[0], signal.SIGKILL)
            await started.until(lambda: len(started.restarts) == number)  # noqa: B023
        assert started.restarts == [("signal SIGKILL", 0.0)] * 3


async def test_mail_waits_while_no_renderer_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render_process.PROGRAM
    program(monkeypatch, "sys.exit(3)")
    quick(monkeypatch)
    async with broken() as started:
        asked = asyncio.create_task(started.render(STORED, [0], eight_bit=True))
        await started.until(lambda: len(started.restarts) > UNAVAILABLE_AFTER)
        assert not asked.done()
        monkeypatch.setattr(render_process, "PROGRAM", whole)
        assert await asked == render(STORED, [0], KEYS, eight_bit=True)
        assert started.failures == []


async def test_mail_goes_out_unmodified_where_it_is_not_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "sys.exit(3)")
    quick(monkeypatch)
    async with broken(send_unmodified=True) as started:
        (rendering,) = await started.render(STORED, [0], eight_bit=True)
        assert rendering.content == CONTENT
        assert rendering.notes == {"skipped": ["rendering failed: no renderer can be started"]}
        assert len(started.restarts) >= UNAVAILABLE_AFTER


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff" + bytes(100),
        frame({"sizes": [1], "notes": [{}, {}]}, b"x"),
        frame({"sizes": [2], "notes": [{}]}, b"x"),
        frame({"sizes": [-1, 2], "notes": [{}, {}]}, b"x"),
        frame({"sizes": [1], "notes": [{"skipped": {"a": "b"}}]}, b"x"),
        frame({"sizes": [1], "notes": [{"skipped": ["\r\n"]}]}, b"x"),
        frame({"sizes": [1], "notes": [{"links": 1e999}]}, b"x"),
        frame({"sizes": [], "failed": "x" * 5000}),
        frame([[]]),
        b"\0\0\0\6\0\0\0\1{}",
        b"\0\0\0\6\0\0\0\7{}",
        b"\0\0\0\1\0",
        b"\x80\x05]\x94.",
        frame({"sizes": [1], "notes": [{}]}, b"x") * 2,
    ],
)
async def test_a_wrong_answer_ends_the_renderer_and_not_the_relay(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(
        monkeypatch,
        answering(answer),
    )
    async with pool(timeout=20.0) as started:
        await started.render(STORED, [0], eight_bit=True)
        await started.until(lambda: bool(started.restarts))
        assert all("a malformed answer" in reason for reason, _ in started.restarts)


async def test_a_renderer_has_no_say_in_the_envelope(monkeypatch: pytest.MonkeyPatch) -> None:
    good = frame({"sizes": [1], "notes": [{}], "reverse_path": "x> SIZE=1\r\nRCPT TO:<evil@x.test"}, b"x")
    program(
        monkeypatch,
        answering(good),
    )
    bounces = replace(STORED, policy=replace(POLICY, return_path="bounce.acme.test"))
    async with pool() as started:
        (rendering,) = await started.render(bounces, [7], eight_bit=True)
    assert rendering == Rendering(reverse_path_for(bounces, 7, RING), b"x", {})


async def test_a_content_that_hung_twice_is_not_tried_again_for_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    misbehaving(monkeypatch)
    hanging = replace(STORED, content=b"X-Hang: 1\r\n" + CONTENT)
    async with pool(timeout=0.5) as started:
        for number in range(2):
            (plain,) = await started.render(hanging, [number], eight_bit=True)
            assert "rendering failed" in str(plain.notes["skipped"])
        restarts = len(started.restarts)
        other = replace(hanging, queue_id=queue_id(1_700_000_000.0, 2), flow=Flow("identity:b"))
        (plain,) = await started.render(other, [0], eight_bit=True)
        assert "rendering failed" in str(plain.notes["skipped"])
        assert len(started.restarts) == restarts
        (usual,) = await started.render(replace(STORED, content=CONTENT + b"<p>other</p>\r\n"), [0], eight_bit=True)
        assert b"https://t.acme.test" in usual.content


async def test_a_large_message_has_a_renderer_of_its_own(tmp_path: Path) -> None:
    async with pool(timeout=30) as started:
        with files_of(CONTENT, tmp_path) as first:
            await started.render_file(replace(STORED, content=b""), 0, first, eight_bit=True)
            first.target.finish().close()
        os.kill(started.large_worker.renderers[0].process.pid, signal.SIGSTOP)
        with files_of(CONTENT, tmp_path) as files:
            hanging = asyncio.create_task(started.render_file(replace(STORED, content=b""), 0, files, eight_bit=True))
            await started.until(lambda: started.large_worker.renderers[0].load == 1)
            (rendered,) = await started.render(STORED, [0], eight_bit=True)
            assert b"https://t.acme.test" in rendered.content
            os.kill(started.large_worker.renderers[0].process.pid, signal.SIGCONT)
            await hanging


async def test_who_waits_for_a_renderer_takes_turns_by_principal() -> None:
    async with pool(timeout=60) as started:
        (pid,) = started.pids
        os.kill(pid, signal.SIGSTOP)
        done: list[str] = []

        async def render_for(name: str, number: int) -> None:
            await started.render(replace(STORED, flow=Flow(name)), [number], eight_bit=True)
            done.append(name)

        flood = [asyncio.create_task(render_for("flood", number)) for number in range(40)]
        await started.until(lambda: started.answers_outstanding() == OUTSTANDING)
        single = asyncio.create_task(render_for("single", 0))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGCONT)
        await asyncio.gather(*flood, single)
        assert done.index("single") <= 2 * OUTSTANDING
