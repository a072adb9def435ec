"""schemathesis over the description of the API: no server error, no status and no answer that is not described."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.dns_server import DnsServer
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

KEY = new_key("app", bytes(range(32)))

SECONDS = 280
"""Seconds after which the short run is ended; it takes about 15 of CPU time."""

EXAMPLES = int(os.environ.get("RELAY_SCHEMA_EXAMPLES", "0"))
"""Examples of each operation in a long run, which also has what LEFT_OUT names; 0 for the short one."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
"""A schema cannot say which addresses and names are valid, so valid data may be refused.

Logins are those of test_api_isolation: after wrong ones all answers are delayed.
"""


LEFT_OUT = """
[phases.examples]
enabled = false
[[operations]]
include-path-regex = "/check$|/reports/(deliveries|engagement|unclassified|messages|recipients)$"
phases.coverage.enabled = false
[[operations]]
include-path-regex = "/webhooks/{name}$|/settings$"
include-method = "PUT"
phases.coverage.enabled = false
"""
"""What the short run leaves out: examples of the description, which other tests send; and the coverage of operations
that have the models or the parameters of others, or that reload the configuration. They are fuzzed all the same.
"""

SETTINGS = f"""
continue-on-failure = true
[warnings]
enabled = false
[generation]
deterministic = true
max-examples = {EXAMPLES or 2}
no-shrink = true
[checks]
enabled = false
{"".join(f"{one}.enabled = true{chr(10)}" for one in CHECKS)}
[phases]
stateful.enabled = false
[phases.coverage]
unexpected-methods = ["PATCH", "OPTIONS"]
[[operations]]
include-path = "/api/v1/messages/batch"
checks.negative_data_rejection.enabled = false
phases.coverage.enabled = false
{"" if EXAMPLES else LEFT_OUT}
"""
"""A batch is answered with 200 and a result for each message: a faulty one does not stop the others."""


def configuration(port: int, nameserver: str) -> str:
    return f"""
[resolver]
nameservers = ["{nameserver}"]
[api]
address = "127.0.0.1:{port}"
requests_per_minute = 1_000_000
[credentials.app]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = ["send", "read", "suppressions", "webhooks", "manage"]
[domains."acme.test"]
[identities."shop@acme.test"]
"""


@pytest.mark.slow
async def test_a_fuzzer_finds_no_answer_that_the_description_has_not(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    port = free_port()
    async with Sink() as sink, DnsServer("acme.test. A 127.0.0.1") as dns:
        toml = configuration(port, ":".join(map(str, dns.endpoint)))
        async with RelayProcess(tmp_path, sink.port, toml) as relay:
            client = ApiClient(port, f"app:{KEY}")
            for at in range(3):
                mail = {"from": "shop@acme.test", "to": [f"r{at}@reader.test"], "text": "Hello", "tags": ["t"]}
                assert (await client.post("/messages", mail)).status == 202
            described = (await client.request("GET", "/../openapi.json", login="")).json["paths"]
            code, output = await run(tmp_path, port)
            answered = relay.log("api.request")
            assert relay.log("api.failed") == []

    assert code == 0, output
    assert f"Tested: {sum(map(len, described.values()))}" in output
    assert len(answered) > 500
    assert {one["status"] // 100 for one in answered} == {2, 4}


async def run(folder: Path, port: int) -> tuple[int | None, str]:
    """Run schemathesis over all operations, the same requests each time."""
    (folder / "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/api/openapi.json"),
        *("--header", f"Authorization: Bearer {KEY}", "--no-color"),
        cwd=folder,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS + 60 * EXAMPLES):
        output, _ = await process.communicate()
    return process.returncode, output.decode()
