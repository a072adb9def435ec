"""The apps before their start: access to parts raises, and stopping is harmless."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from relay.app.relay import App
from relay.app.tracker import TrackerApp
from relay.config import Settings


def _settings(folder: Path) -> Settings:
    return Settings.model_validate({"server": {"data_dir": str(folder)}})


NEEDS_PARTS: dict[str, Callable[[App], object]] = {
    "store": lambda app: app.store,
    "inbound": lambda app: app.inbound,
    "outbound": lambda app: app.outbound,
    "port": lambda app: app.port("submission"),
    "checks": lambda app: app.checks(),
}


@pytest.mark.parametrize("name", NEEDS_PARTS)
def test_access_to_parts_before_the_start_raises(tmp_path: Path, name: str) -> None:
    with pytest.raises(RuntimeError, match=r"not started: await start\(\) first"):
        NEEDS_PARTS[name](App(_settings(tmp_path)))


async def test_a_relay_that_is_not_started_has_no_status(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await App(_settings(tmp_path)).status()


def test_the_bounce_policy_needs_no_start(tmp_path: Path) -> None:
    assert App(_settings(tmp_path)).bounce_policy().rules.rules


@pytest.mark.parametrize(
    "stop",
    [lambda settings, path: App(settings).stop(), lambda settings, path: TrackerApp(settings, path).stop()],
    ids=["relay", "tracker"],
)
async def test_what_is_not_started_can_be_stopped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], stop: Callable[[Settings, Path], Awaitable[None]]
) -> None:
    await stop(_settings(tmp_path), tmp_path / "relay.toml")
    assert "server.stopped" in capfd.readouterr().err
