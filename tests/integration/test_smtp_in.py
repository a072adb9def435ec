"""The SMTP server over real sockets: transactions, content, and what clients get wrong."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.events.ports import StoreError
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session
from tests.integration.uvloop_run import run
from tests.servers.smtp_in_harness import Harness, serving

MAIL, RCPT = "MAIL FROM:<a@app.test>", "RCPT TO:<b@sink.test>"


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with serving(tmp_path, smtp={"max_errors": 8, "max_junk_commands": 20}) as running:
        yield running


async def test_a_message_comes_through_with_its_envelope(harness: Harness) -> None:
    client = await harness.greeted()
    await client.say("MAIL FROM:<a@app.test> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=x+2B1 AUTH=<>")
    await client.say("RCPT TO:<b@sink.test> NOTIFY=SUCCESS ORCPT=rfc822;b@old.test", "RCPT TO:<postmaster>", "DATA")
    client.send("Subject: ä\r\n\r\n..dot\r\n.\r\n".encode())
    assert await client.reply() == "250 2.0.0 Ok: queued as X"
    (transaction,) = harness.handler.taken
    assert transaction.session == Session("in", "submission", "127.0.0.1", "client.test", extended=True)
    recipients = (Recipient("b@sink.test", ("SUCCESS",), "rfc822;b@old.test"), Recipient("postmaster@relay.test"))
    assert transaction.envelope == Envelope("a@app.test", recipients, "8BITMIME", False, "HDRS", "x+2B1")
    assert transaction.content == "Subject: ä\r\n\r\n.dot\r\n".encode()


async def test_ehlo_lists_the_extensions(harness: Harness) -> None:
    client = await harness.connect()
    assert await client.reply() == "220 relay.test ESMTP"
    lines = [line[4:] for line in (await client.say("EHLO client.test")).split("\n")]
    offered = "relay.test,PIPELINING,SIZE 26214400,8BITMIME,SMTPUTF8,DSN,CHUNKING,ENHANCEDSTATUSCODES,AUTH PLAIN LOGIN"
    assert lines == offered.split(",")


async def test_replies_of_a_batch_are_one_write(harness: Harness) -> None:
    client = await harness.greeted()
    client.send(f"{MAIL}\r\nRCPT TO:<>\r\n{RCPT}\r\nDATA\r\n".encode())
    batch = await client.reader.readuntil(b"354 End data with <CR><LF>.<CR><LF>\r\n")
    assert batch.count(b"\r\n") == 4
    client.send(b"x\r\n.\r\nRSET\r\nQUIT\r\n")
    assert [reply[:3] for reply in await client.replies(3)] == ["250", "250", "221"]
    assert await client.ended()


async def test_a_whole_session_in_one_segment(harness: Harness) -> None:
    client = await harness.connect()
    transaction = f"{MAIL}\r\n{RCPT}\r\nDATA\r\nx\r\n.\r\n"
    client.send(f"EHLO early.test\r\n{transaction}{transaction}QUIT\r\n".encode())
    codes = [reply[:3] for reply in await client.replies(11)]
    assert codes == ["220", "250", *["250", "250", "354", "250"] * 2, "221"]
    assert [taken.content for taken in harness.handler.taken] == [b"x\r\n"] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_a_session_in_small_pieces(harness: Harness, size: int) -> None:
    client = await harness.connect()
    octets = f"EHLO c.test\r\n{MAIL}\r\n{RCPT}\r\nDATA\r\n..a\r\n.\r\r\nb\r\n.\r\nQUIT\r\n".encode()
    client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(octets), size):
        client.send(octets[start : start + size])
        await asyncio.sleep(0)
    assert [reply[:3] for reply in await client.replies(7)] == ["220", "250", "250", "250", "354", "250", "221"]
    assert harness.handler.taken[0].content == b".a\r\n\r\n\r\nb\r\n"


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        ([RCPT], "503 5.5.1"),
        (["DATA"], "503 5.5.1"),
        (["BDAT 0 LAST"], "503 5.5.1"),
        ([MAIL, "DATA"], "554 5.5.1"),
        ([MAIL, MAIL], "503 5.5.1"),
        ([MAIL, "EHLO again.test", RCPT], "503 5.5.1"),
        ([MAIL, "HELO again.test", RCPT], "503 5.5.1"),
        ([MAIL, "RSET", RCPT], "503 5.5.1"),
        ([MAIL, RCPT, "DATA now"], "501 5.5.4"),
        ([MAIL, RCPT, "BDAT 0", RCPT], "503 5.5.1"),
        ([MAIL, RCPT, "BDAT 0", "DATA"], "503 5.5.1"),
        ([MAIL, "AUTH PLAIN AGEAYg=="], "503 5.5.1"),
        (["MAIL FROM:<a@app.test> SIZE=26214401"], "552 5.3.4"),
        (["MAIL FROM:<a@app.test> SIZE=99999999999999999999"], "552 5.3.4"),
        (["EHLO"], "501 5.5.4"),
        (["RSET now"], "501 5.5.4"),
        (["QUIT now"], "501 5.5.4"),
        (["NOOP whatever"], "250 2.0.0"),
        (["VRFY root"], "252 2.0.0"),
        (["VRFY"], "501 5.5.4"),
        (["EXPN staff"], "502 5.5.1"),
        (["ETRN x"], "502 5.5.1"),
        (["HELP"], "214-2.0.0"),
        (["STARTTLS"], "502 5.5.1"),
        (["FROBNICATE x"], "500 5.5.1"),
        ([""], "500 5.5.2"),
        (["NOOP \x1b[2J"], "501 5.5.2"),
        ([MAIL, "RCPT TO:<a\0b@sink.test>"], "501 5.5.2"),
        (["MAIL FROM:<jörg@app.test>"], "553 5.6.7"),
        (["MAIL FROM:<jörg@app.test> SMTPUTF8", "RCPT TO:<ö@sink.test>"], "250 2.1.5"),
        ([MAIL, "RCPT TO:<ö@sink.test>"], "553 5.6.7"),
    ],
)
async def test_commands_out_of_place_are_refused_and_the_session_goes_on(
    harness: Harness, commands: list[str], reply: str
) -> None:
    client = await harness.greeted()
    assert (await client.say(*commands)).startswith(reply)
    assert await client.say("RSET", MAIL, RCPT) == "250 2.1.5 Ok"


async def test_nothing_is_taken_before_a_greeting(harness: Harness) -> None:
    client = await harness.connect()
    await client.reply()
    assert await client.say(MAIL) == "503 5.5.1 Say EHLO first"
    assert await client.say("HELO old.test") == "250 relay.test"
    assert await client.say(MAIL) == "250 2.1.0 Ok"


@pytest.mark.parametrize("length", [2047, 12287, 20_000, 400_000])
async def test_a_long_line_is_passed_over_and_the_next_one_understood(harness: Harness, length: int) -> None:
    client = await harness.greeted()
    client.send(b"NOOP " + b"x" * (length - 5) + b"\r\nNOOP\r\n")
    assert await client.replies(2) == ["500 5.5.2 Command line too long", "250 2.0.0 Ok"]


async def test_a_line_of_512_octets_is_understood(harness: Harness) -> None:
    client = await harness.greeted()
    assert await client.say("NOOP " + "x" * 505) == "250 2.0.0 Ok"


async def test_bare_line_ends_are_normalised_and_end_nothing(harness: Harness) -> None:
    client = await harness.in_data()
    client.send(b"a\nb\rc\n.\nMAIL FROM:<evil@x.test>\r\n.\n\r\n.\r\n")
    assert await client.reply() == "250 2.0.0 Ok: queued as X"
    assert harness.handler.taken[0].content == b"a\r\nb\r\nc\r\n.\r\nMAIL FROM:<evil@x.test>\r\n\r\n\r\n"


async def test_content_that_is_too_large_is_refused_after_the_dot(tmp_path: Path) -> None:
    async with serving(tmp_path, limits={"max_message_size": 1000}) as harness:
        client = await harness.in_data()
        client.send(b"x" * 1001 + b"\r\n.\r\n" + f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
        assert [reply[:9] for reply in await client.replies(3)] == ["552 5.3.4", "250 2.1.0", "250 2.1.5"]
        await client.reply()
        client.send(b"x" * 998 + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")
        assert [len(taken.content) for taken in harness.handler.taken] == [1000]
        assert harness.resources.bodies.received == 0


async def test_nul_is_refused_from_applications_and_taken_from_the_world(tmp_path: Path) -> None:
    async with serving(tmp_path) as harness:
        client = await harness.in_data()
        client.send(b"a\0b\r\n.\r\n")
        assert (await client.reply()).startswith("554 5.6.0 ")
    async with serving(tmp_path, listener={"kind": "inbound"}) as harness:
        client = await harness.in_data()
        client.send(b"a\0b\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")


async def test_recipients_over_the_limit_are_for_another_transaction(tmp_path: Path) -> None:
    async with serving(tmp_path, limits={"max_recipients": 100}) as harness:
        client = await harness.greeted(MAIL)
        for _ in range(100):
            assert (await client.say(RCPT)).startswith("250 ")
        for _ in range(30):
            assert (await client.say(RCPT)).startswith("452 4.5.3 ")
        await client.say("DATA")
        client.send(b".\r\n")
        assert (await client.reply()).startswith("250 ")
        assert len(harness.handler.taken[0].envelope.recipients) == 100


async def test_the_handler_refuses_at_each_step(harness: Harness) -> None:
    harness.handler.senders_refused["a@app.test"] = Reply(530, "5.7.0", "Authentication required")
    harness.handler.recipients_refused["b@sink.test"] = Reply(550, "5.1.1", "nobody\nhere")
    harness.handler.reply = Reply(451, "4.7.1", "limit\r\n250 2.0.0 forged")
    client = await harness.greeted()
    assert await client.say(MAIL) == "530 5.7.0 Authentication required"
    assert await client.say("MAIL FROM:<>", RCPT) == "550-5.1.1 nobody\n550 5.1.1 here"
    assert (await client.say("RCPT TO:<c@sink.test>", "DATA")).startswith("354")
    client.send(b".\r\n")
    assert await client.reply() == "451-4.7.1 limit?\n451 4.7.1 250 2.0.0 forged"
    refused = [fields["reply"].split()[0] for fields in harness.logged("smtp.refused")]
    assert refused == ["530", "550", "451"]


async def test_an_exception_is_a_temporary_failure_that_shows_nothing(harness: Harness) -> None:
    harness.handler.raises = RuntimeError("database is locked")
    client = await harness.in_data()
    client.send(b"x\r\n.\r\n")
    assert await client.reply() == "451 4.3.0 Something went wrong here, try again later"
    (line,) = harness.logged("smtp.failed")
    assert "database is locked" in line["error"]
    assert "Traceback" in line["error"]
    assert await client.say(MAIL) == "250 2.1.0 Ok"


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (StoreError("disk I/O error"), "451 4.3.0 The queue cannot store mail at the moment, try again later"),
        (StoreError("disk full", full=True), "452 4.3.1 Insufficient system storage, try again later"),
    ],
)
async def test_a_store_error_is_a_temporary_failure_and_is_reported(
    harness: Harness, error: StoreError, reply: str
) -> None:
    harness.handler.raises = error
    client = await harness.in_data()
    client.send(b"x\r\n.\r\n")
    assert await client.reply() == reply
    assert harness.store_errors == [error]
    assert harness.logged("smtp.failed") == []
    assert [fields["reply"] for fields in harness.logged("smtp.refused")] == [reply]
    assert await client.say(MAIL) == "250 2.1.0 Ok"


async def test_chunks_are_joined_without_dot_stuffing(harness: Harness) -> None:
    client = await harness.greeted(MAIL, RCPT)
    client.send(b"BDAT 6\r\n.\r\na\r\nBDAT 3\r\n\n.\nBDAT 1 LAST\r\nzNOOP\r\n")
    replies = await client.replies(4)
    assert replies[:2] == ["250 2.0.0 6 octets received", "250 2.0.0 3 octets received"]
    assert replies[2:] == ["250 2.0.0 Ok: queued as X", "250 2.0.0 Ok"]
    assert harness.handler.taken[0].content == b".\r\na\r\n\r\n.\r\nz\r\n"


async def test_refused_chunks_are_read_and_never_taken_for_commands(tmp_path: Path) -> None:
    async with serving(tmp_path, limits={"max_message_size": 10}) as harness:
        client = await harness.greeted()
        client.send(b"BDAT 6\r\nQUIT\r\n" + f"{MAIL}\r\n".encode() + b"BDAT 6\r\nQUIT\r\n" + f"{RCPT}\r\n".encode())
        client.send(b"BDAT 18\r\n" + b"QUIT\r\n" * 3 + b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        codes = [reply[:9] for reply in await client.replies(7)]
        assert codes == ["503 5.5.1", "250 2.1.0", "554 5.5.1", "250 2.1.5", "552 5.3.4", "503 5.5.1", "250 2.0.0"]
        assert await client.say("BDAT many") == (
            "521 5.5.4 Syntax: BDAT size [LAST]; closing, since chunk and commands cannot be separated"
        )
        assert await client.ended()
        assert harness.handler.taken == []


async def test_a_browser_is_turned_away(harness: Harness) -> None:
    client = await harness.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<evil@x.test>\r\n")
    assert [reply[:3] for reply in await client.replies(2)] == ["220", "421"]
    assert await client.ended()


async def test_the_standard_library_can_send(harness: Harness) -> None:
    def send() -> dict[str, Any]:
        with smtplib.SMTP("127.0.0.1", harness.server.port) as smtp:
            return smtp.sendmail("a@app.test", ["b@sink.test"], b"Subject: x\r\n\r\n.\r\nhello\r\n")

    assert await asyncio.to_thread(send) == {}
    assert harness.handler.taken[0].content == b"Subject: x\r\n\r\n.\r\nhello\r\n"


def test_uvloop_serves_as_well(tmp_path: Path) -> None:
    async def session() -> None:
        async with serving(tmp_path) as harness:
            client = await harness.in_data()
            client.send(b"\r\n" + b"x" * 3_000_000 + b"\r\n.\r\nQUIT\r\n")
            assert [reply[:3] for reply in await client.replies(2)] == ["250", "221"]
            assert await client.ended()

    run(session())
