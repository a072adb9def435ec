"""The SMTP server's limits: budgets, connections and time, and how it ends."""

import asyncio
import socket
from functools import partial
from pathlib import Path

from relay.smtp.context import ServerResources
from tests.servers.smtp_in_harness import ACCEPTED, Harness, base64, serving
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


async def test_what_a_client_sends_ahead_is_bounded_and_read_when_its_turn_comes(tmp_path: Path) -> None:
    commands = 5000
    async with serving(tmp_path, smtp={"max_junk_commands": 10_000}) as harness:
        harness.handler.gate = asyncio.Event()
        client = await harness.in_data()
        client.send(b"x\r\n.\r\n")
        await harness.handler.begun.wait()
        client.send((b"NOOP " + b"x" * 400 + b"\r\n") * commands)
        try:
            (connection,) = harness.server._connections
            transport = connection.transport
            assert transport is not None
            await until(lambda: not transport.is_reading())
            assert len(connection._input) < 1_000_000
        finally:
            harness.handler.gate.set()
        assert await client.replies(1 + commands) == [str(ACCEPTED), *["250 2.0.0 Ok"] * commands]
