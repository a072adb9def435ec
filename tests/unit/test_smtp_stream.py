"""The stream of a client's connection: lines and blocks in any pieces, a client that sends too fast, ends."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.reply import Reply
from relay.smtp.stream import ClientDisconnected, SmtpStream

OK = Reply(250, "2.0.0", "Ok")


class Transport(asyncio.Transport):
    """Records what is written, and whether the client has to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.paused: list[bool] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        self.paused.append(True)

    def resume_reading(self) -> None:
        self.paused.append(False)


class Stream(SmtpStream):
    """A stream without commands."""

    async def _handle_client(self) -> None:
        """Do nothing."""


def opened() -> tuple[Stream, Transport]:
    stream, transport = Stream(), Transport()
    stream.connection_made(transport)
    return stream, transport


@given(st.lists(st.sampled_from([b"NOOP", b"", b"RSET\r", b"x" * 30]), max_size=8), st.integers(1, 50))
def test_lines_are_the_same_in_pieces_of_any_size(lines: list[bytes], size: int) -> None:
    async def read() -> list[bytes | None]:
        stream, _ = opened()
        whole = b"".join(line + b"\n" for line in lines)
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]

        async def send() -> None:
            for piece in pieces:
                stream.data_received(piece)
                await asyncio.sleep(0)
            stream.eof_received()

        sending = asyncio.create_task(send())
        found = [await stream.read_line(20) for _ in lines]
        with pytest.raises(ClientDisconnected):
            await stream.read_line(20)
        await sending
        return found

    expected = [None if len(line) >= 20 else line.removesuffix(b"\r") for line in lines]
    assert asyncio.run(read()) == expected


async def test_a_client_that_sends_too_fast_waits_until_its_input_is_read() -> None:
    stream, transport = opened()
    for _ in range(10):
        stream.data_received(b"x" * 100_000)
    assert transport.paused == [True]
    assert len(await stream.read_block()) == 1_000_000
    waiting = asyncio.create_task(stream.read_block())
    await asyncio.sleep(0)
    assert transport.paused == [True, False]
    stream.data_received(b"y")
    assert await waiting == b"y"


async def test_replies_are_written_before_a_wait_for_input() -> None:
    stream, transport = opened()
    stream.queue_reply(OK)
    stream.queue_reply(OK)
    waiting = asyncio.create_task(stream.read_block())
    await asyncio.sleep(0)
    assert transport.written == [OK.encode() * 2]
    stream.data_received(b"x")
    assert await waiting == b"x"


async def test_input_before_the_end_is_read_and_no_reply_follows_a_lost_connection() -> None:
    stream, transport = opened()
    stream.data_received(b"NOOP\r\nRS")
    stream.connection_lost(ConnectionResetError())
    assert await stream.read_line(100) == b"NOOP"
    with pytest.raises(ClientDisconnected):
        await stream.read_line(100)
    stream.queue_reply(OK)
    with pytest.raises(ClientDisconnected):
        await stream.flush()
    assert transport.written == []


async def test_replies_wait_while_the_client_reads_none() -> None:
    stream, transport = opened()
    stream.pause_writing()
    stream.queue_reply(OK)
    flushing = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    assert not flushing.done()
    stream.resume_writing()
    await flushing
    stream.pause_writing()
    stream.queue_reply(OK)
    flushing = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    stream.connection_lost(BrokenPipeError())
    with pytest.raises(ClientDisconnected):
        await flushing
    assert len(transport.written) == 2
