"""The SMTP server's limits: budgets, connections, time, memory, and how it ends."""

import asyncio
import socket
import struct
from functools import partial
from pathlib import Path

import pytest

from relay.smtp.body import BodyLimits
from relay.smtp.context import ServerResources
from tests.servers.smtp_in_harness import Harness, base64, serving
from tests.servers.waiting import until

MAIL, RCPT = "MAIL FROM:<a@app.test>", "RCPT TO:<b@sink.test>"


async def test_errors_are_counted_until_a_message_comes_through(tmp_path: Path) -> None:
    async with serving(tmp_path, smtp={"max_errors": 3}) as harness:
        client = await harness.greeted("BOGUS", "BOGUS", MAIL, RCPT, "DATA")
        client.send(b".\r\n")
        await client.reply()
        assert (await client.say("BOGUS", "BOGUS")).startswith("500 ")
        assert await client.say("BOGUS") == "421 4.7.0 Too many errors, closing"
        assert await client.ended()


async def test_junk_is_counted_until_a_message_comes_through(tmp_path: Path) -> None:
    async with serving(tmp_path, smtp={"max_junk_commands": 5}) as harness:
        client = await harness.greeted("NOOP", "NOOP", MAIL, RCPT, "DATA")
        client.send(b".\r\n")
        await client.reply()
        assert await client.say("NOOP", "RSET", "VRFY a", "HELP", "NOOP") == "250 2.0.0 Ok"
        assert (await client.say("NOOP")).startswith("421 4.7.0 ")
        assert await client.ended()


async def test_connections_of_a_client_and_of_all_are_limited(tmp_path: Path) -> None:
    smtp = {"max_connections_per_client": 2}
    resources = ServerResources(tmp_path)
    async with serving(tmp_path, resources=resources, smtp=smtp) as harness:
        first = await harness.greeted()
        await harness.greeted()
        third = await harness.connect()
        assert (await third.reply()).startswith("421 4.7.0 ")
        assert await third.ended()
        async with serving(tmp_path, resources=resources, smtp={"max_connections": 2}) as other:
            fourth = await other.connect()
            assert (await fourth.reply()).startswith("421 4.3.2 ")
        await first.say("QUIT")
        await until(lambda: len(resources.connections) == 1)
        assert (await harness.greeted()).reader
    assert len(resources.connections) == 0


async def test_an_idle_client_gets_a_reply_and_is_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, smtp={"idle_timeout": "300s", "data_timeout": "60s"}) as harness:
        idle, busy = await harness.greeted(), await harness.greeted()
        harness.time.now += 200
        await busy.say("NOOP")
        harness.server.sweep(harness.time.now + 99)
        harness.server.sweep(harness.time.now + 101)
        assert (await idle.reply()).startswith("421 4.4.2 ")
        assert await idle.ended()
        assert await busy.say("NOOP") == "250 2.0.0 Ok"


INBOUND = {"kind": "inbound"}


async def test_idle_strangers_give_way_to_new_clients(tmp_path: Path) -> None:
    async with serving(tmp_path, listener=INBOUND, smtp={"max_connections": 2}) as harness:
        first = await harness.greeted()
        harness.time.now += 1
        second = await harness.greeted()
        harness.time.now += 1
        third = await harness.greeted()
        assert await first.reply() == "421 4.3.2 Too many connections here, try again later"
        assert await first.ended()
        assert [await one.say("NOOP") for one in (second, third)] == ["250 2.0.0 Ok"] * 2
        assert len(harness.resources.connections) == 2


async def test_strangers_have_less_time_while_connections_are_short(tmp_path: Path) -> None:
    smtp = {"max_connections": 4, "idle_timeout": "300s", "data_timeout": "60s", "stress_timeout": "10s"}
    async with serving(tmp_path, listener=INBOUND, smtp=smtp) as harness:
        idle, sending, junk = await harness.greeted(), await harness.in_data(), await harness.greeted()
        harness.server.sweep(harness.time.now + 20)
        assert harness.logged("smtp.stressed") == []
        await harness.greeted()
        harness.server.sweep(harness.time.now + 9)
        assert harness.logged("smtp.stressed") == [{"listener": "in", "connections": 4}]
        assert (await junk.say("NOOP", "NOOP", "NOOP")).startswith("421 4.7.0 ")

        harness.server.sweep(harness.time.now + 11)
        assert (await idle.reply()).startswith("421 4.4.2 ")
        assert (await sending.reply()).startswith("421 4.4.2 ")
        await until(lambda: len(harness.resources.connections) == 0)
        harness.server.sweep(harness.time.now)
        assert harness.logged("smtp.unstressed") == [{"listener": "in", "connections": 0}]


async def test_clients_that_may_send_keep_their_time_and_place(tmp_path: Path) -> None:
    """By address or by AUTH."""
    credential = f"AUTH PLAIN {base64(chr(0) + 'ann' + chr(0) + 'secret')}"
    smtp = {"max_connections": 2, "idle_timeout": "300s", "stress_timeout": "10s"}
    for listener, commands in (({}, ()), ({"auth": "required"}, (credential,))):
        async with serving(tmp_path, listener=listener, smtp=smtp) as harness:
            clients = [await harness.greeted(*commands) for _ in range(2)]
            refused = await harness.connect()
            assert (await refused.reply()).startswith("421 4.3.2 ")
            harness.server.sweep(harness.time.now + 200)
            assert [await one.say("NOOP") for one in clients] == ["250 2.0.0 Ok"] * 2


async def test_inbound_mail_takes_no_space_of_submission(tmp_path: Path) -> None:
    resources = ServerResources(tmp_path, BodyLimits(body_memory=1000, memory=1000, received=10_000, handed_over=4000))
    async with (
        serving(tmp_path, resources=resources, listener={**INBOUND, "name": "mx"}) as inbound,
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


async def test_each_block_of_content_has_its_time_and_dripping_is_no_progress(tmp_path: Path) -> None:
    async with serving(tmp_path, smtp={"idle_timeout": "300s", "data_timeout": "60s"}) as harness:
        steady, dripping = await harness.in_data(), await harness.in_data()
        for received in (2001, 4006):
            harness.time.now += 40
            steady.send(b"x" * 2000 + b"\r\n")
            dripping.send(b"x\r\n")
            await until(partial(lambda octets: harness.resources.bodies.received == octets, received))
            harness.server.sweep(harness.time.now)
        assert (await dripping.reply()).startswith("421 4.4.2 ")
        steady.send(b".\r\n")
        assert (await steady.reply()).startswith("250 ")
        await until(lambda: harness.resources.bodies.received == 0)


async def test_a_client_that_does_not_read_is_not_read_from(tmp_path: Path) -> None:
    """Replies never pile up: reading stops, and the sweep drops the connection."""
    async with serving(tmp_path, smtp={"max_junk_commands": 10**9}) as harness:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", harness.server.port))
            sent = 0
            try:
                async with asyncio.timeout(3):
                    while sent < 200_000_000:
                        await loop.sock_sendall(client, b"NOOP\r\n" * 10_000)
                        sent += 60_000
            except TimeoutError:
                pass
            assert sent < 60_000_000
            harness.server.sweep(harness.time.now + 301)
            await until(lambda: harness.server.connections == 0)


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


async def _stopping(harness: Harness, grace: float) -> asyncio.Task[None]:
    task = asyncio.create_task(harness.server.stop(grace))
    await asyncio.sleep(0.02)
    return task


async def test_stopping_says_goodbye_to_the_idle_and_lets_the_rest_finish(tmp_path: Path) -> None:
    async with serving(tmp_path) as harness:
        idle, sending = await harness.greeted(MAIL), await harness.in_data()
        port = harness.server.port
        stopping = await _stopping(harness, 10)
        assert (await idle.reply()).startswith("421 4.3.2 ")
        sending.send(b"x\r\n.\r\n")
        assert [reply[:9] for reply in await sending.replies(2)] == ["250 2.0.0", "421 4.3.2"]
        await stopping
        assert len(harness.handler.taken) == 1
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", port)) != 0


async def test_stopping_drops_what_takes_longer_but_never_half_an_acceptance(tmp_path: Path) -> None:
    async with serving(tmp_path) as harness:
        harness.handler.gate = asyncio.Event()
        slow, accepting = await harness.in_data(), await harness.in_data()
        accepting.send(b"x\r\n.\r\n")
        await harness.handler.begun.wait()
        stopping = await _stopping(harness, 0.05)
        assert await slow.ended()
        assert not stopping.done()
        harness.handler.gate.set()
        await stopping
        assert len(harness.handler.taken) == 1


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
