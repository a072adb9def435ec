"""What the server has loaded when it greets its first client: a restart interrupts mail for as long as that takes."""

import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import until

AT_LISTENING = """
import json, os, socket, sys
from threading import Thread
from relay.cli import main
from relay.app.smtp_listeners import SmtpListeners

serve = SmtpListeners.serve

async def recorded(self, kind, handler):
    await serve(self, kind, handler)
    if kind == "submission":
        record()

def record():
    with open(os.environ["FOLDER"] + "/modules", "w") as file:
        json.dump(sorted(sys.modules), file)
    client = socket.create_connection(("127.0.0.1", int(os.environ["TRACKER"])), 60)
    client.sendall(b"GET /robots.txt HTTP/1.1\\r\\nHost: relay\\r\\n\\r\\n")
    Thread(target=read_answer, args=(client,)).start()

def read_answer(client):
    with client, open(os.environ["FOLDER"] + "/answer", "wb") as file:
        file.write(client.recv(64))

SmtpListeners.serve = recorded
sys.argv[0] = "relay"
main()
"""

OF_HTTP = {"aiohttp", "jinja2", "relay.api", "relay.console", "relay.admin", "relay.dev", "relay.http_tracker"}
"""Modules of servers and clients of HTTP, which open after the listeners of mail."""

LATER = {
    "relay.webhooks.service",
    "relay.webhooks.bodies",
    "relay.app.services",
    "relay.app.background_tasks",
    "relay.inbound.handler",
    "relay.inbound.process",
    "relay.dsn.auto_reply",
    "relay.verification.verifier",
}
"""Modules of what starts after submission: inbound mail, verification, and what is beside the mail."""

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


INBOUND = """
[[listener]]
name = "mx"
kind = "inbound"
address = "127.0.0.1:{port}"
"""


@pytest.fixture
def relay(tmp_path: Path) -> RelayProcess:
    return recorded_relay(tmp_path)


def recorded_relay(folder: Path, tables: str = "") -> RelayProcess:
    """Return a relay that writes its modules when the listeners of submission are open, and sends a request then."""
    relay = RelayProcess(folder, 9, tables)
    relay.program = ("-c", AT_LISTENING)
    relay.environment = {"FOLDER": str(folder), "TRACKER": str(relay.tracker_port)}
    return relay


async def test_submission_opens_before_modules_of_inbound_mail_and_http_are_loaded(
    relay: RelayProcess,
) -> None:
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
    await assert_refused(relay, relay.tracker_port)


async def test_a_port_of_inbound_mail_in_use_refuses_the_start_before_mail_is_accepted(tmp_path: Path) -> None:
    port = free_port()
    await assert_refused(recorded_relay(tmp_path, INBOUND.format(port=port)), port)


async def assert_refused(relay: RelayProcess, port: int) -> None:
    fault = f"another process listens on 127.0.0.1 port {port}"
    with closing(socket.create_server(("127.0.0.1", port))), pytest.raises(AssertionError, match=fault):
        await relay.start()
    assert not (relay.folder / "modules").exists()


def test_a_renderer_loads_nothing_of_the_server() -> None:
    code = "import sys, relay.render.worker; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    of_server = {"asyncio", "ssl", "sqlite3", "pydantic", "aiohttp", "click", "dns", "relay.config", "relay.queue"}
    assert "relay.rewrite.fast_path" in modules
    assert sorted(of_server & set(modules)) == []
