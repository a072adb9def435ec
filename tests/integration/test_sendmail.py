"""`relay sendmail` as programs call it, against an SMTP server."""

import asyncio

from click.testing import CliRunner, Result

from relay.cli.sendmail import sendmail
from tests.ports import free_port
from tests.servers.sink import Say, Sink

MAIL = "From: a@acme.test\nTo: u@rcpt.test\nBcc: hidden@rcpt.test\nSubject: hello\n\nHello\n.\nmore\n"


async def call(port: int, *arguments: str, mail: str = MAIL) -> Result:
    """Call it in a thread: the server runs in this one."""
    line = ["--server", f"127.0.0.1:{port}", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, sendmail, line, mail)


async def test_the_recipients_of_the_header_get_the_whole_mail() -> None:
    async with Sink() as sink:
        result = await call(sink.port, "-t", "-oi", "-f", "bounces@acme.test", "-N", "never")
        assert result.exit_code == 0, result.output
        (received,) = sink.messages
    assert received.reverse_path == "bounces@acme.test"
    assert list(received.recipients) == ["u@rcpt.test", "hidden@rcpt.test"]
    assert b"Bcc" not in received.content
    assert received.content.endswith(b"\r\nHello\r\n.\r\nmore\r\n")
    assert any("NOTIFY=NEVER" in command for command in sink.commands)


async def test_options_of_cron_and_php_are_taken_together() -> None:
    async with Sink() as sink:
        result = await call(sink.port, "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", mail="To: root\n\nout\n")
        assert result.exit_code == 0, result.output
        (received,) = sink.messages
    assert list(received.recipients) == ["root@sink.test"]
    assert received.content.startswith(b"From: CronDaemon <")


async def test_one_refused_recipient_is_named_and_nothing_is_sent() -> None:
    async with Sink() as sink:
        sink.once("RCPT", Say("250 2.1.5 ok"))
        sink.once("RCPT", Say("550 5.1.1 no such user"))
        result = await call(sink.port, "good@rcpt.test", "bad@rcpt.test")
        assert sink.messages == []
    assert result.exit_code == 67
    assert "<bad@rcpt.test> was refused: 550" in result.output


async def test_what_can_be_tried_again_is_a_temporary_failure() -> None:
    async with Sink() as sink:
        sink.once("MAIL", Say("451 4.3.0 later"))
        assert (await call(sink.port, "u@rcpt.test")).exit_code == 75
        sink.once(".", Say("452 4.3.1 full"))
        assert (await call(sink.port, "u@rcpt.test")).exit_code == 75
        sink.once(".", Say("554 5.6.0 bad header"))
        assert (await call(sink.port, "u@rcpt.test")).exit_code == 65
    assert (await call(free_port(), "u@rcpt.test")).exit_code == 75


async def test_without_a_recipient_it_is_used_wrongly() -> None:
    async with Sink() as sink:
        assert (await call(sink.port)).exit_code == 64


async def test_bs_speaks_smtp_on_the_standard_streams() -> None:
    envelope = "EHLO app\r\nMAIL FROM:<a@acme.test>\r\nRCPT TO:<u@rcpt.test>\r\n"
    session = f"{envelope}DATA\r\nSubject: s\r\n\r\nbody\r\n.\r\nQUIT\r\n"
    async with Sink(extensions=("PIPELINING",)) as sink:
        result = await call(sink.port, "-bs", mail=session)
        (received,) = sink.messages
    assert result.exit_code == 0
    assert result.output.startswith("220 ")
    assert result.output.splitlines()[-1].startswith("221 ")
    assert received.content == b"Subject: s\r\n\r\nbody\r\n"
