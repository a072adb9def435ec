"""Whole relays on one PostgreSQL: equal nodes, one of which dies; a server that is away, and a start without one."""

import asyncio
import re
import smtplib
from pathlib import Path

import pytest

from tests.servers.postgres import PostgresServer, fresh_schema
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until


def storage(url: str) -> str:
    return f'[storage]\nurl = "{url}"\n'


def send(port: int, number: int) -> tuple[int, bytes]:
    """Send one mail; return the last reply."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        try:
            client.sendmail(
                "a@app.test", [f"u{number}@rcpt.test"], f"From: a@app.test\r\nSubject: {number}\r\n\r\nhi\r\n"
            )
        except smtplib.SMTPResponseException as refused:
            text = refused.smtp_error
            return refused.smtp_code, text if isinstance(text, bytes) else text.encode()
        except smtplib.SMTPRecipientsRefused as refused:
            return next(iter(refused.recipients.values()))
    return 250, b""


def arrived(sink: Sink) -> list[int]:
    return [int(got.recipients[0].removeprefix("u").partition("@")[0]) for got in sink.messages]


async def until_all(sink: Sink, numbers: set[int]) -> None:
    await until(lambda: numbers.issubset(arrived(sink)))


async def test_a_relay_that_is_killed_loses_nothing_the_others_can_deliver(postgres: str, tmp_path: Path) -> None:
    async with Sink() as sink:
        folders = [tmp_path / name for name in ("first", "second")]
        for folder in folders:
            folder.mkdir()
        first, second = (RelayProcess(folder, sink.port, storage(postgres)) for folder in folders)
        async with first, second:
            taken: set[int] = set()
            for number in range(30):
                code, _ = await asyncio.to_thread(send, (first, second)[number % 2].port, number)
                assert code == 250
                taken.add(number)
            await first.kill()
            code, _ = await asyncio.to_thread(send, second.port, 30)
            assert code == 250
            await until_all(sink, taken | {30})

            async def one_is_gone() -> bool:
                return sorted(node["state"] for node in await second.json("nodes")) == ["alive", "gone"]

            await until(one_is_gone)
            assert "gone" in await second.run("nodes")
            assert await second.stop() == 0


async def test_a_server_that_goes_away_is_answered_for_and_waited_for(tmp_path: Path) -> None:
    server = PostgresServer()
    try:
        async with (
            Sink() as sink,
            RelayProcess(tmp_path, sink.port, storage(fresh_schema(server.url))) as relay,
        ):
            assert (await asyncio.to_thread(send, relay.port, 0))[0] == 250
            await asyncio.to_thread(server.stop)
            code, text = await asyncio.to_thread(send, relay.port, 1)
            assert (code, text[:5]) == (451, b"4.3.0")
            status = await relay.run("status", check=False)
            assert "store          does not answer: PostgreSQL: " in status
            assert re.search(r"^healthy +False$", status, re.MULTILINE)
            with pytest.raises(
                AssertionError, match="relay queue list ended with 75: relay: the store does not answer: "
            ):
                await relay.run("queue", "list")
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(PATIENCE):
                while (await asyncio.to_thread(send, relay.port, 2))[0] != 250:
                    await asyncio.sleep(0.2)
            await until_all(sink, {0, 2})
            assert await relay.stop() == 0
    finally:
        await asyncio.to_thread(server.close)


async def test_a_start_without_its_server_says_so_and_ends_with_69(tmp_path: Path) -> None:
    url = f"postgresql://relay:hunter2@/relay?host={tmp_path}"
    with pytest.raises(
        AssertionError, match=r"the relay ended with 69:\n(?s:.*)storage.url: PostgreSQL: connection"
    ) as ended:
        await RelayProcess(tmp_path, 9, storage(url)).__aenter__()
    assert "hunter2" not in str(ended.value)
