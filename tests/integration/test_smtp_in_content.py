"""The content of a message at the SMTP server: memory and files, fields of the header, clients that leave."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from relay.smtp.body import BodyLimits
from relay.smtp.context import ServerResources
from tests.servers.smtp_in_harness import serving
from tests.servers.waiting import until

MAIL, RCPT = "MAIL FROM:<a@app.test>", "RCPT TO:<b@sink.test>"


async def test_inbound_mail_takes_no_space_of_submission(tmp_path: Path) -> None:
    resources = ServerResources(tmp_path, BodyLimits(body_memory=1000, memory=1000, received=10_000, handed_over=4000))
    async with (
        serving(tmp_path, resources=resources, listener={"kind": "inbound", "name": "mx"}) as inbound,
        serving(tmp_path, resources=resources) as submission,
    ):
        inbound.handler.gate = asyncio.Event()
        slow, waiting, refused = await inbound.in_data(), await inbound.in_data(), await inbound.in_data()
        slow.send(b"x" * 2000 + b"\r\n.\r\n")
        await inbound.handler.begun.wait()
        waiting.send(b"x" * 2000 + b"\r\n.\r\n")
        await until(lambda: resources.inbound_bodies.received == 4004)
        refused.send(b"x" * 2000 + b"\r\n.\r\n")
        assert (await refused.reply()).startswith("452 4.3.1 ")

        client = await submission.in_data()
        client.send(b"x" * 3000 + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")
        inbound.handler.gate.set()
        assert [(await one.reply())[:3] for one in (slow, waiting)] == ["250", "250"]


async def test_a_client_may_finish_sending_before_it_reads(tmp_path: Path) -> None:
    async with serving(tmp_path) as harness:
        client = await harness.in_data()
        harness.handler.gate = asyncio.Event()
        client.send(b"x\r\n.\r\n")
        client.writer.write_eof()
        await harness.handler.begun.wait()
        harness.handler.gate.set()
        assert (await client.reply()).startswith("250 ")
        assert await client.ended()


async def test_a_message_without_its_dot_is_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path) as harness:
        client = await harness.in_data()
        client.send(b"x\r\n.")
        client.writer.write_eof()
        assert await client.ended()
        assert harness.handler.taken == []
        assert harness.resources.bodies.received == 0


async def test_acceptance_runs_to_its_end_when_the_client_vanishes(tmp_path: Path) -> None:
    async with serving(tmp_path) as harness:
        harness.handler.gate = asyncio.Event()
        client = await harness.in_data()
        client.send(b"x\r\n.\r\n")
        await harness.handler.begun.wait()
        linger = struct.pack("ii", 1, 0)
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.writer.transport.abort()
        await until(lambda: harness.server.connections == 0)
        harness.handler.gate.set()
        await until(lambda: len(harness.handler.taken) == 1)
        await until(lambda: len(harness.resources.connections) == 0)


async def test_large_messages_go_through_files_and_are_whole_a_few_at_a_time(tmp_path: Path) -> None:
    bounds = BodyLimits(body_memory=10_000, memory=50_000, received=10_000_000, handed_over=250_000)
    resources = ServerResources(tmp_path, bounds)
    async with serving(tmp_path, resources=resources) as harness:
        harness.handler.gate = asyncio.Event()
        clients = [await harness.in_data() for _ in range(6)]
        lines = [b"\r\n", *(f"{number} {'x' * 60}\r\n".encode() for number in range(1600))]
        for client in clients:
            client.send(b"".join(lines) + b".\r\n")
        await harness.handler.begun.wait()
        size = sum(map(len, lines))
        pool = resources.bodies
        await until(lambda: pool.received == 6 * size and pool.in_memory == 0)
        assert pool.handed_over == 2 * size
        harness.handler.gate.set()
        assert {(await client.reply())[:3] for client in clients} == {"250"}
        assert {taken.content for taken in harness.handler.taken} == {b"".join(lines)}
        assert (pool.received, pool.handed_over) == (0, 0)
        assert list(tmp_path.iterdir()) == []


async def test_beyond_all_bounds_mail_is_put_off(tmp_path: Path) -> None:
    bounds = BodyLimits(body_memory=1000, memory=1000, received=5000, handed_over=5000)
    async with serving(tmp_path, resources=ServerResources(tmp_path, bounds)) as harness:
        client, other = await harness.in_data(), await harness.in_data()
        client.send(b"x" * 4000)
        await until(lambda: harness.resources.bodies.received == 4000)
        other.send(b"x" * 4000 + b"\r\n.\r\n")
        assert await other.reply() == "452 4.3.1 Insufficient system storage, try again later"
        client.send(b"\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")


async def test_a_folder_that_takes_no_file_puts_mail_off(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    async with serving(tmp_path, resources=ServerResources(gone, BodyLimits(body_memory=1000))) as harness:
        client = await harness.in_data()
        client.send(b"x" * 4000 + b"\r\n.\r\nNOOP\r\n")
        assert [reply[:9] for reply in await client.replies(2)] == ["452 4.3.1", "250 2.0.0"]


@pytest.mark.parametrize("kind", ["submission", "inbound"])
async def test_a_header_has_a_limit_of_fields(tmp_path: Path, kind: str) -> None:
    async with serving(tmp_path, listener={"kind": kind}) as harness:
        client = await harness.greeted(MAIL, RCPT, "DATA")
        client.send(b"a:\r\n" * 1001 + b"\r\nhello\r\n.\r\n")
        assert await client.reply() == "554 5.6.0 The header of the message has more than the 1000 fields allowed here"
        await client.say(MAIL, RCPT, "DATA")
        client.send(b"a:\r\n" * 1000 + b"\r\n" + b"a:\r\n" * 2000 + b".\r\n")
        assert (await client.reply()).startswith("250 ")


async def test_a_header_has_a_limit_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path, smtp={"max_header_size": "1KiB"}) as harness:
        client = await harness.greeted(MAIL, RCPT, "DATA")
        client.send(b"Subject: x\r\n" + b"X-More: y\r\n" * 100 + b"\r\nhello\r\n.\r\n")
        assert await client.reply() == "554 5.6.0 The header of the message is larger than the 1024 octets allowed here"
        await client.say(MAIL, RCPT, "DATA")
        client.send(b"Subject: x\r\n\r\n" + b"hello\r\n" * 500 + b".\r\n")
        assert (await client.reply()).startswith("250 ")
        assert len(harness.handler.taken) == 1


async def test_lines_of_an_mbox_in_front_are_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path) as harness:
        client = await harness.greeted(MAIL, RCPT, "DATA")
        client.send(b"From a@app.test Mon Nov 30 10:00:00 2026\r\nFrom: a@app.test\r\n\r\nFrom here\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")
        assert harness.handler.taken[0].content == b"From: a@app.test\r\n\r\nFrom here\r\n"
