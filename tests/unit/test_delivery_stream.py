"""The stream over a pair of real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from relay.delivery.stream import BLOCK, MAX_UNREAD, ClientStream, StreamError
from relay.mail.reply import Reply
from tests.loop_time import LoopTime


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[ClientStream, socket.socket, socket.socket]]:
    """Yield a stream, its own socket and the other side's, which does nothing by itself."""
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    try:
        yield ClientStream(transport), ours, theirs
    finally:
        transport.abort()
        theirs.close()
        await asyncio.sleep(0)


async def test_replies_in_order_and_those_before_the_end_too() -> None:
    async with wired() as (stream, _, theirs):
        theirs.sendall(b"250 one\r\n550 two\r\n")
        theirs.close()
        assert await stream.read(1) == Reply(250, "", "one")
        assert await stream.read(1) == Reply(550, "", "two")
        with pytest.raises(StreamError) as caught:
            await stream.read(1)
        assert caught.value.closed_by_server
        assert not stream.is_open


async def test_silence_is_cut_short() -> None:
    async with wired() as (stream, ours, _):
        with pytest.raises(StreamError, match=r"did not answer within 0\.01 s") as caught:
            await stream.read(0.01)
        assert not caught.value.closed_by_server
        await asyncio.sleep(0)
        assert ours.fileno() == -1


@pytest.mark.parametrize("said", [b"421 4.4.2 idle too long\r\n", b"2"])
async def test_a_word_while_resting_ends_it(said: bytes) -> None:
    async with wired() as (stream, _, theirs):
        stream.expect_nothing()
        theirs.sendall(said)
        await asyncio.sleep(0.01)
        assert not stream.is_open


async def test_what_came_too_much_before_resting_ends_it() -> None:
    async with wired() as (stream, _, theirs):
        theirs.sendall(b"250 one\r\n250 too many\r\n")
        await stream.read(1)
        stream.expect_nothing()
        assert not stream.is_open


async def test_nothing_is_sent_into_a_closed_connection() -> None:
    async with wired() as (stream, _, theirs):
        theirs.close()
        await asyncio.sleep(0.01)
        with pytest.raises(StreamError):
            await stream.write_body(b"content", 1)


async def test_closing_does_not_wait_for_a_side_that_does_not_read() -> None:
    async with wired() as (stream, ours, _):
        with pytest.raises(StreamError, match="did not take the content"):
            await stream.write_body(b"x" * 10_000_000, 0.05)
        await asyncio.sleep(0)
        assert ours.fileno() == -1
    async with wired() as (stream, ours, theirs):
        theirs.sendall(b"552 5.3.4 too big\r\n")
        assert not await stream.write_body(b"x" * 10_000_000, 1)
        assert await stream.read(1) == Reply(552, "5.3.4", "too big")
        stream.close()
        await asyncio.sleep(0)
        assert ours.fileno() == -1


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, 2 * BLOCK])
async def test_the_end_follows_the_last_block(size: int) -> None:
    async with wired() as (stream, _, theirs):
        theirs.setblocking(False)
        sending = asyncio.create_task(stream.write_body(b"x" * size, 1, b".\r\n"))
        sent = b""
        while not sent.endswith(b".\r\n"):
            sent += await asyncio.get_running_loop().sock_recv(theirs, 100_000)
        assert await sending
        assert sent == b"x" * size + b".\r\n"


async def test_the_end_leaves_together_with_the_last_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment and a system call of its own cost as much as a command."""
    async with wired() as (stream, _, _):
        sent: list[bytes] = []
        monkeypatch.setattr(stream, "write", lambda data: sent.append(bytes(data)))
        assert await stream.write_body(b"x" * (BLOCK + 2), 1, b"\r\n.\r\n")
        assert sent == [b"x" * BLOCK, b"xx\r\n.\r\n"]


async def test_replies_without_end_to_what_nobody_asked_end_it() -> None:
    """A server may answer as many commands as are sent ahead, and must not fill our memory with more."""
    async with wired() as (stream, _, theirs):
        theirs.sendall(b"250 ok\r\n" * MAX_UNREAD)
        await asyncio.sleep(0.01)
        before = stream.is_open
        theirs.sendall(b"250 one more\r\n")
        await asyncio.sleep(0.01)
        assert (before, stream.is_open) == (True, False)
        assert await stream.read(1) == Reply(250, "", "ok")


async def test_a_server_that_takes_the_content_drop_by_drop_is_cut_short() -> None:
    async with wired() as (stream, _, theirs):
        stream.begin_transaction(0.2)
        theirs.setblocking(False)
        sending = asyncio.create_task(stream.write_body(b"x" * 50_000_000, 60))
        while not sending.done():
            await asyncio.sleep(0.01)
            with suppress(BlockingIOError):
                theirs.recv(70_000)
        with pytest.raises(StreamError, match=r"did not reach its final dot within 0\.2 s"):
            await sending


async def test_the_reply_to_the_final_dot_has_its_own_time() -> None:
    async with wired() as (stream, _, theirs):
        stream.begin_transaction(0.01)
        stream.end_transaction()
        asyncio.get_running_loop().call_later(0.05, theirs.sendall, b"250 taken\r\n")
        assert await stream.read(30) == Reply(250, "", "taken")


async def test_each_wait_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer of an earlier wait neither cuts a later one short, nor lets it last longer."""
    async with wired() as (stream, _, theirs):
        time = LoopTime(monkeypatch)
        theirs.sendall(b"250 one\r\n")
        assert await stream.read(50) == Reply(250, "", "one")

        reading = asyncio.create_task(stream.read(300))
        await time.pass_by(200)
        assert not reading.done()
        theirs.sendall(b"250 two\r\n250 three\r\n")
        assert await reading == Reply(250, "", "two")
        assert stream.received() == Reply(250, "", "three")
        assert stream.received() is None

        reading = asyncio.create_task(stream.read(20))
        await time.pass_by(21)
        with pytest.raises(StreamError, match="did not answer within 20 s"):
            await reading
