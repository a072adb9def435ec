"""What the server has loaded when it greets its first client: a restart interrupts mail for as long as that takes."""

import json
import subprocess
import sys
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

NEVER = {
    "psycopg",
    "bs4",
    "cryptography.x509",
    "imapclient",
    "relay.rewrite.fast_path",
    "relay.rewrite.links",
    "relay.dsn.text_recipients",
}
"""Modules of other configurations, of renderers, and of mail that did not come yet."""


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


async def test_modules_that_only_others_need_are_not_loaded(loaded: set[str]) -> None:
    assert sorted(loaded & NEVER) == []


def test_a_renderer_loads_nothing_of_the_server() -> None:
    code = "import sys, relay.render.worker; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    of_server = {"asyncio", "ssl", "sqlite3", "pydantic", "aiohttp", "click", "dns", "relay.config", "relay.queue"}
    assert "relay.rewrite.fast_path" in modules
    assert sorted(of_server & set(modules)) == []
