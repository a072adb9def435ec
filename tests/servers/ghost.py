"""What the tests of Ghost's clients share: a relay with a key for Ghost, readers, programs that run a client."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

DRIVERS = Path(__file__).parents[1] / "golden" / "clients"

PACKAGES = [Path(one, "node_modules") for one in ("/usr/local/lib", "/usr/lib")]
"""Folders of global packages of npm."""

KEY = new_key("ghost", bytes(range(32)))

DOMAIN = "mg.acme.test"
"""Domain of Mailgun in the settings of Ghost."""

QUERY = {
    "limit": 300,
    "event": "delivered OR opened OR failed OR unsubscribed OR complained",
    "tags": "bulk-email",
    "ascending": "yes",
}

MESSAGE = {
    "id": "6753f1a2",
    "from": '"Größe & Söhne" <news@acme.test>',
    "replyTo": "editor@acme.test",
}
"""The keys that each client gives."""


def people(prefix: str, count: int) -> dict[str, dict[str, str]]:
    """Return readers with their recipient variables."""
    return {
        f"{prefix}{number}@reader.test": {
            "name": f"G & {number}",
            "uuid": f"u-{number}",
            "unsubscribe_url": f"https://blog.acme.test/unsubscribe/?uuid={number}&key=k",
            "list_unsubscribe": f"https://blog.acme.test/unsubscribe/?uuid={number}",
            "message_id": f"{prefix}.{number}@acme.test",
        }
        for number in range(count)
    }


@dataclass(frozen=True, slots=True)
class GhostRelay:
    """A relay for Ghost, and the sink that gets its mail."""

    relay: RelayProcess
    sink: Sink
    port: int
    """Port of the API."""

    @property
    def base_url(self) -> str:
        """The URL of Mailgun in the settings of Ghost."""
        return f"http://127.0.0.1:{self.port}/v3"


@asynccontextmanager
async def ghost_relay(folder: Path) -> AsyncIterator[GhostRelay]:
    """Run a relay with a key for Ghost."""
    port = free_port()
    toml = f"""
[api]
address = "127.0.0.1:{port}"
[credentials.ghost]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = ["send", "read", "suppressions"]
[domains."acme.test"]
tracking = {{ base_url = "https://t.acme.test" }}
"""
    async with Sink() as sink, RelayProcess(folder, sink.port, toml) as relay:
        yield GhostRelay(relay, sink, port)


async def run_driver(name: str, *arguments: str, file: Path | None = None) -> Any:
    """Run a driver with node, and return what it prints. Skips without node, mailgun.js or the file that it needs."""
    node, packages = shutil.which("node"), next((one for one in PACKAGES if (one / "mailgun.js").exists()), None)
    if node is None or packages is None:
        pytest.skip("needs node, and `npm install --global mailgun.js form-data`")
    if file is not None and not file.exists():
        pytest.skip(f"needs {file.name} of Ghost, in RELAY_GHOST_CLIENT")
    process = await asyncio.create_subprocess_exec(
        *(node, str(DRIVERS / name), *([] if file is None else [str(file.resolve())]), *arguments),
        env=os.environ | {"NODE_PATH": str(packages)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)
