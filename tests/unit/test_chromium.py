"""The browser of the page tests leaves nothing behind, however its start goes."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from tests.servers import chromium
from tests.servers.chromium import Chromium


@pytest.mark.parametrize(
    ("program", "patience", "error", "match"),
    [
        ("exec sleep 600", 0.2, TimeoutError, None),
        ("exit 7", 60.0, AssertionError, "Chromium ended with 7"),
    ],
    ids=["never ready", "ends at once"],
)
async def test_a_browser_that_does_not_start_leaves_nothing_behind(
    program: str,
    patience: float,
    error: type[Exception],
    match: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, browser = tmp_path / "temporary", tmp_path / "chromium"
    folder.mkdir()
    browser.write_text(f"#!/bin/sh\n{program}\n")
    browser.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(chromium, "chromium", lambda: str(browser))
    monkeypatch.setattr(chromium, "PATIENCE", patience)
    with pytest.raises(error, match=match):
        await asyncio.wait_for(Chromium().__aenter__(), 60)
    assert list(folder.iterdir()) == []


async def test_without_a_browser_the_test_skips_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="Chromium is not installed"):
        await Chromium().__aenter__()
    assert list(tmp_path.iterdir()) == []
