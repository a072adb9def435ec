"""The pool of renderers: what it renders, with which keys, and in which environment."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import relay
from relay.content_file import ContentFile, ContentWriter
from relay.domains.relay_keys import Keys
from relay.limits.priority import Flow
from relay.mailauth.dkim_keys import generate_key, load_key
from relay.render import process as render_process
from relay.render.inline_renderer import InlineRenderer
from relay.render.pool import OUTSTANDING
from relay.render.render import render
from relay.render.renderer import ContentFiles
from relay.rewrite.tokens import Keyring
from tests.unit.render_pool_harness import BLOAT, CONTENT, KEYS, POLICY, STORED, pool


@contextmanager
def files_of(content: bytes, folder: Path) -> Iterator[ContentFiles]:
    source = ContentFile.of(content, folder)
    try:
        yield ContentFiles(source, ContentWriter(folder))
    finally:
        source.close()


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
