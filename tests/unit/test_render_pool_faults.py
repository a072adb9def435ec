"""The pool of renderers: what a worker cannot survive, and wrong answers, take down a worker and no message."""

import asyncio
import json
import os
import signal
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from relay.limits.priority import Flow
from relay.mail.queue_id import queue_id
from relay.render import frames as render_frames
from relay.render import process as render_process
from relay.render.message import Rendering, reverse_path_for
from relay.render.pool import MAX_CPU, OUTSTANDING
from relay.render.process import RendererProcess
from relay.render.render import render
from tests.servers.waiting import PATIENCE
from tests.unit.render_pool_harness import BLOAT, CONTENT, KEYS, POLICY, RING, STORED, pool, program


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


def frame(head: object, *contents: bytes) -> bytes:
    nothing_left_out = bytes(render_frames.LENGTH * len(contents))
    strings = (json.dumps(head).encode(), nothing_left_out, *contents)
    body = struct.pack(f">{1 + len(strings)}I", len(strings), *map(len, strings)) + b"".join(strings)
    return len(body).to_bytes(4, "big") + body


def answering(answer: bytes) -> str:
    """A program that is ready, answers its first request with this, and waits for its end."""
    ready = f"sock.sendall({render_frames.READY!r})\nsock.recv(100)\n"
    return ready + f"sock.sendall({answer!r})\nwhile sock.recv(1 << 20): pass\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff" + bytes(100),
        frame([{}, {}], b"x"),
        frame([{}], b"x", b"y"),
        frame([{}]),
        frame([{}], b"x").replace(bytes(4) + b"x", b"\xff" * 4 + b"x"),
        frame([{"skipped": {"a": "b"}}], b"x"),
        frame([{"skipped": ["\r\n"]}], b"x"),
        frame([{"links": 1e999}], b"x"),
        frame("x" * 5000),
        frame("failed", b"x"),
        frame([[]]),
        frame({}),
        b"\0\0\0\x0a\0\0\0\1\0\0\0\1[]",
        b"\0\0\0\x0a\0\0\0\1\0\0\0\3[]",
        b"\0\0\0\6\0\0\0\7{}",
        b"\0\0\0\1\0",
        b"\x80\x05]\x94.",
        frame([{}], b"x") * 2,
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
    good = frame([{"reverse_path": "x> SIZE=1 RCPT TO:<evil@x.test"}], b"x")
    program(
        monkeypatch,
        answering(good),
    )
    bounces = replace(STORED, policy=replace(POLICY, return_path="bounce.acme.test"))
    async with pool() as started:
        (rendering,) = await started.render(bounces, [7], eight_bit=True)
    assert rendering == Rendering(
        reverse_path_for(bounces, 7, RING), b"x", {"reverse_path": "x> SIZE=1 RCPT TO:<evil@x.test"}
    )


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
