"""The examples of curl in docs/api.md, run as they are written against a relay with the configuration of that page."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from relay.cli.share import shared_files
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.documentation import blocks_of, text_of
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = new_key("shop", bytes(range(32)))

PAGE = "docs/api.md"

CURL = [one for one in blocks_of(text_of(PAGE)) if one.text.startswith("curl ")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    found = free_port()
    (page,) = [one.text for one in blocks_of(text_of(PAGE)) if one.language == "toml" and "[api]" in one.text]
    toml = page.replace("127.0.0.1:8027", f"127.0.0.1:{found}").replace("blake2b:…", hash_secret(KEY, bytes(16)))
    toml = toml.replace('["read"]', '["send", "read", "webhooks", "manage"]') + '[domains."example.com"]\n'
    async with Sink() as sink, RelayProcess(tmp_path_factory.mktemp("api"), sink.port, toml):
        yield found


def shown_after(line: int) -> Any:
    """Return the JSON that the page shows below the block that begins at this line."""
    following = next(one for one in blocks_of(text_of(PAGE)) if one.line > line)
    assert following.language == "json"
    return json.loads(following.text)


@pytest.mark.parametrize("block", CURL, ids=lambda block: f"line {block.line}")
async def test_an_example_has_the_answer_that_the_page_shows(port: int, block: Any, tmp_path: Path) -> None:
    script = block.text.replace("127.0.0.1:8027", f"127.0.0.1:{port}").replace("shop:KEY", f"shop:{KEY}")
    script = re.sub(r"^curl ", "curl -sS --fail-with-body ", script)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script), cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, (output, errors)
    found, shown = json.loads(output), shown_after(block.line)
    assert set(found) == set(shown)
    if "recipients" in shown:
        assert [set(one) for one in found["recipients"]] == [set(one) for one in shown["recipients"]]
        assert found["recipients"][0]["address"] == shown["recipients"][0]["address"]


async def test_the_file_that_is_shipped_is_the_description_of_a_running_server(port: int) -> None:
    url = f"http://127.0.0.1:{port}/api/openapi.json"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        assert json.loads(dict(shared_files())["openapi.json"]) == await answer.json()


async def test_there_are_examples() -> None:
    assert len(CURL) >= 2
