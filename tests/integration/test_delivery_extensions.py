"""Parameters of deliveries: sent where an extension is offered, and left out where it is not."""

from dataclasses import replace

import pytest

from relay.queue.outcome import Delivered, Refused
from tests.servers import Say, Sink
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, settings


async def test_parameters_are_sent_when_they_are_offered() -> None:
    message = replace(job().message, ret="HDRS", envid="QQ314159")
    eight = "Subject: ü\r\n\r\nü\r\n".encode()
    dsn = job("b@x.test", content=eight, notify=("SUCCESS", "DELAY"), orcpt=["rfc822;b@x.test"], message=message)
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        (outcome,) = await delivery.deliver("provider:up", dsn)
        assert isinstance(outcome, Delivered)
        assert outcome.dsn_passed_on
        (received,) = sink.messages
        assert received.mail_parameters == [f"SIZE={len(eight)}", "BODY=8BITMIME", "RET=HDRS", "ENVID=QQ314159"]
        assert received.recipient_parameters == [["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b@x.test"]]


async def test_no_parameters_where_nothing_is_offered_and_seven_bit_content() -> None:
    message = replace(job().message, ret="HDRS", envid="QQ314159")
    eight, seven = "Subject: x\r\n\r\nü\r\n".encode(), b"Subject: x\r\n\r\n=C3=BC\r\n"
    plain = job("b@x.test", content=eight, seven_bit=seven, notify=("SUCCESS",), message=message)
    async with Sink(extensions=()) as sink, delivering(settings(sink.port)) as delivery:
        (outcome,) = await delivery.deliver("provider:up", plain)
        assert isinstance(outcome, Delivered)
        assert not outcome.dsn_passed_on
        (received,) = sink.messages
        assert (received.mail_parameters, received.recipient_parameters) == ([], [[]])
        assert received.content == seven


async def test_smtputf8_is_used_where_offered_and_refuses_only_whom_it_must() -> None:
    mixed = job("plain@x.test", "jörg@x.test")
    async with Sink(extensions=("SMTPUTF8", "PIPELINING")) as sink, delivering(settings(sink.port)) as delivery:
        outcomes = await delivery.deliver("provider:up", mixed)
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert sink.messages[0].recipients == ["plain@x.test", "jörg@x.test"]
        assert sink.messages[0].mail_parameters == ["SMTPUTF8"]
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        delivered, refused = await delivery.deliver("provider:up", mixed)
        assert isinstance(delivered, Delivered)
        assert (refused.reply.code, refused.reply.status) == (553, "5.6.7")
        assert sink.messages[0].recipients == ["plain@x.test"]


async def test_a_message_larger_than_the_server_takes_is_refused_without_a_word() -> None:
    async with Sink(extensions=("SIZE 20",)) as sink, delivering(settings(sink.port)) as delivery:
        (outcome,) = await delivery.deliver("provider:up", job())
        assert (outcome.reply.code, outcome.reply.status) == (552, "5.3.4")
        assert sink.said("MAIL") == []


@pytest.mark.parametrize("refused", ["MAIL", "RCPT"])
async def test_a_server_that_trips_over_its_extensions_is_spoken_to_plainly_from_then_on(refused: str) -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once(refused, Say("555 5.5.4 Unsupported option"))
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Refused)
        await delivery.deliver("provider:up", job())
        async with delivering(settings(sink.port)) as another:
            await another.deliver("provider:up", job())
        assert ["SIZE=" in line for line in sink.said("MAIL")] == [True, False, True]
        assert len(sink.messages) == 2


async def test_a_refused_address_is_no_reason_to_speak_plainly() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once("RCPT", Say("501 5.1.3 Bad recipient address syntax"))
        await delivery.deliver("provider:up", job())
        await delivery.deliver("provider:up", job())
        assert all("SIZE=" in line for line in sink.said("MAIL"))
