"""What the server has loaded when it greets its first client: a restart interrupts mail for as long as that takes."""

import json
from pathlib import Path

import pytest

from tests.servers.relay_process import RelayProcess

WITH_MODULES = """
import json, os, sys
from relay.cli import main
from relay.app.smtp_listeners import SmtpListeners

listen = SmtpListeners.listen

async def recorded(self):
    await listen(self)
    with open(os.environ["MODULES"], "w") as file:
        json.dump(sorted(sys.modules), file)

SmtpListeners.listen = recorded
sys.argv[0] = "relay"
main()
"""

OF_HTTP = {"aiohttp", "jinja2", "relay.api", "relay.console", "relay.admin", "relay.dev", "relay.http_tracker"}
"""Modules of servers and clients of HTTP, which open after the listeners of mail."""

LATER = {"relay.webhooks.service", "relay.webhooks.bodies", "relay.app.later_parts", "relay.app.background_tasks"}

NEVER = {"psycopg", "bs4"}
"""Modules for configurations that this one is not."""


@pytest.fixture
async def loaded(tmp_path: Path) -> set[str]:
    """Return the modules when the listeners of mail are open."""
    relay = RelayProcess(tmp_path, 9)
    relay.program = ("-c", WITH_MODULES)
    relay.environment = {"MODULES": str(tmp_path / "modules")}
    await relay.start()
    assert await relay.stop() == 0
    return set(json.loads((tmp_path / "modules").read_text()))


async def test_listeners_of_mail_open_before_modules_of_http_are_loaded(loaded: set[str]) -> None:
    assert "relay.smtp_in" in loaded
    assert sorted(loaded & (OF_HTTP | LATER)) == []


async def test_modules_of_other_configurations_are_not_loaded(loaded: set[str]) -> None:
    assert sorted(loaded & NEVER) == []
