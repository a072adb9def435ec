"""What the server has loaded when it greets its first client: a restart interrupts mail for as long as that takes."""

import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import until

AT_LISTENING = """
import json, os, socket, sys
from threading import Thread
from relay.cli import main
from relay.app.smtp_listeners import SmtpListeners

listen = SmtpListeners.listen

async def recorded(self):
    await listen(self)
    with open(os.environ["FOLDER"] + "/modules", "w") as file:
        json.dump(sorted(sys.modules), file)
    client = socket.create_connection(("127.0.0.1", int(os.environ["TRACKER"])), 60)
    client.sendall(b"GET /robots.txt HTTP/1.1\\r\\nHost: relay\\r\\n\\r\\n")
    Thread(target=read_answer, args=(client,)).start()

def read_answer(client):
    with client, open(os.environ["FOLDER"] + "/answer", "wb") as file:
        file.write(client.recv(64))

SmtpListeners.listen = recorded
sys.argv[0] = "relay"
main()
"""

OF_HTTP = {"aiohttp", "jinja2", "relay.api", "relay.console", "relay.admin", "relay.dev", "relay.http_tracker"}
"""Modules of servers and clients of HTTP, which open after the listeners of mail."""

LATER = {"relay.webhooks.service", "relay.webhooks.bodies", "relay.app.services", "relay.app.background_tasks"}

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
def relay(tmp_path: Path) -> RelayProcess:
    """Return a relay that writes its modules when the listeners of mail are open, and asks its tracker then."""
    relay = RelayProcess(tmp_path, 9)
    relay.program = ("-c", AT_LISTENING)
    relay.environment = {"FOLDER": str(tmp_path), "TRACKER": str(relay.tracker_port)}
    return relay


async def test_listeners_of_mail_open_before_modules_of_http_are_loaded(relay: RelayProcess) -> None:
    await relay.start()
    assert await relay.stop() == 0
    loaded = set(json.loads((relay.folder / "modules").read_text()))
    assert "relay.smtp_in" in loaded
    assert sorted(loaded & (OF_HTTP | LATER)) == []
    assert sorted(loaded & NEVER) == []


async def test_who_finds_the_port_of_mail_open_gets_an_answer_of_http(relay: RelayProcess) -> None:
    await relay.start()
    answer = relay.folder / "answer"
    await until(lambda: answer.exists() and answer.read_bytes().startswith(b"HTTP/1.1 200 OK"))
    assert await relay.stop() == 0


async def test_a_port_of_http_in_use_refuses_the_start_before_mail_is_accepted(relay: RelayProcess) -> None:
    fault = f"another process listens on 127.0.0.1 port {relay.tracker_port}"
    with closing(socket.create_server(("127.0.0.1", relay.tracker_port))), pytest.raises(AssertionError, match=fault):
        await relay.start()
    assert not (relay.folder / "modules").exists()


def test_a_renderer_loads_nothing_of_the_server() -> None:
    code = "import sys, relay.render.worker; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    of_server = {"asyncio", "ssl", "sqlite3", "pydantic", "aiohttp", "click", "dns", "relay.config", "relay.queue"}
    assert "relay.rewrite.fast_path" in modules
    assert sorted(of_server & set(modules)) == []
