"""Servers that answer oddly, late, wrongly or not at all: what each recipient's outcome is, and what follows."""

import asyncio
import math

import pytest

from relay.queue.outcome import Deferred, Delivered, Refused
from tests.servers import Dribble, Drop, Hang, Reset, Say, Sink, Wait, raw_server
from tests.servers.actions import Action
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, settings, timing_out

WITHOUT_PIPELINING = ("8BITMIME", "SIZE 50000000")

WITH_PIPELINING = (*WITHOUT_PIPELINING, "PIPELINING")

both_ways = pytest.mark.parametrize("extensions", [WITH_PIPELINING, WITHOUT_PIPELINING], ids=["pipelined", "stepwise"])

TEMPORARY: list[tuple[str, Action, str]] = [
    ("MAIL", Say("451 4.3.0 not now"), "451 4.3.0 not now"),
    ("MAIL", Drop(), "451 4.4.2"),
    ("RCPT", Say("450 4.2.1 busy"), "450 4.2.1 busy"),
    ("RCPT", Say("452 4.5.3 too many"), "452 4.5.3 too many"),
    ("RCPT", Say("421 4.3.2 going down", drop=True), "421 4.3.2 going down"),
    ("RCPT", Drop(), "451 4.4.2"),
    ("RCPT", Reset(), "451 4.4.2"),
    ("RCPT", Hang(), "451 4.4.2"),
    ("RCPT", Say(b"\xff\xfenot smtp at all\r\n"), "451 4.5.0"),
    ("RCPT", Say("250-2.1.5 one code\r\n550 5.1.1 another"), "451 4.5.0"),
    ("RCPT", Say("354 what?"), "451 4.5.0"),
    ("DATA", Say("451 4.3.0 not now"), "451 4.3.0 not now"),
    ("DATA", Say("250 2.0.0 fine"), "451 4.5.0"),
    ("DATA", Say("421 4.3.2 bye", drop=True), "421 4.3.2 bye"),
    ("body", Drop(), "451 4.4.2"),
    ("body", Reset(), "451 4.4.2"),
    (".", Say("450 4.7.1 greylisted"), "450 4.7.1 greylisted"),
    (".", Say("421 4.3.2 bye", drop=True), "421 4.3.2 bye"),
    (".", Say("hello?"), "451 4.5.0"),
    (".", Say("354 go on"), "451 4.5.0"),
]


@both_ways
@pytest.mark.parametrize(("moment", "action", "reply"), TEMPORARY, ids=lambda value: str(value)[:30])
async def test_temporary_trouble_defers_and_the_next_attempt_succeeds(
    extensions: tuple[str, ...], moment: str, action: Action, reply: str
) -> None:
    async with Sink(extensions=extensions) as sink, delivering(settings(sink.port)) as delivery:
        sink.once(moment, action)
        (outcome,) = await timing_out(delivery.deliver("provider:up", job()), sink)
        assert isinstance(outcome, Deferred)
        assert str(outcome.reply).startswith(reply)
        assert outcome.remote == f"[127.0.0.1]:{sink.port}"
        assert not outcome.lane_down
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert len(sink.messages) == 1
        assert sink.violations == []


@both_ways
@pytest.mark.parametrize("action", [Drop(), Reset(), Hang()], ids=str)
async def test_a_lost_final_reply_is_uncertain(extensions: tuple[str, ...], action: Action) -> None:
    async with Sink(extensions=extensions) as sink, delivering(settings(sink.port)) as delivery:
        sink.once(".", action)
        (outcome,) = await timing_out(delivery.deliver("provider:up", job()), sink)
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.code, outcome.reply.status, outcome.uncertain) == (451, "4.4.2", True)


async def test_garbage_after_the_dot_is_uncertain_and_quit_is_never_taken_for_the_answer() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once(".", Say("hello?"))
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Deferred)
        assert outcome.uncertain
        assert sink.said("QUIT") == []


@pytest.mark.parametrize("action", [Drop(), Reset()], ids=str)
async def test_a_break_before_the_content_is_not_uncertain(action: Action) -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once("DATA", action)
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Deferred)
        assert not outcome.uncertain


POSITIVE: list[tuple[str, Action]] = [
    ("RCPT", Wait(0.05)),
    ("RCPT", Say("251 2.1.5 will forward")),
    ("RCPT", Say("252 2.1.5 cannot verify, will try")),
    ("RCPT", Say(b"250\r\n")),
    (".", Wait(0.05)),
    (".", Say("250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three")),
    (".", Say("250 5.7.1 accepted though the text says otherwise")),
    (".", Say("251 2.0.0 another 2yz")),
    (".", Say(b"250 2.0.0 bare lf\n")),
    (".", Dribble("250 2.0.0 slowly")),
]


@both_ways
@pytest.mark.parametrize(("moment", "action"), POSITIVE, ids=lambda value: str(value)[:40])
async def test_whatever_begins_with_2_is_success(extensions: tuple[str, ...], moment: str, action: Action) -> None:
    async with Sink(extensions=extensions) as sink, delivering(settings(sink.port)) as delivery:
        sink.once(moment, action)
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        (second,) = await delivery.deliver("provider:up", job())
        assert isinstance(second, Delivered)
        assert sink.connections == 1


PERMANENT: list[tuple[str, Action, str]] = [
    ("MAIL", Say("550 5.7.1 not from you"), "550 5.7.1 not from you"),
    ("RCPT", Say("550 5.1.1 no such user"), "550 5.1.1 no such user"),
    ("RCPT", Say("552 5.2.2 mailbox full"), "552 5.2.2 mailbox full"),
    ("RCPT", Say("550-5.7.1 one\r\n550-5.7.1 two €\r\n550 5.7.1 end"), "550 5.7.1 one\ntwo €\nend"),
    ("DATA", Say("554 5.7.1 no data"), "554 5.7.1 no data"),
    (".", Say("550 5.7.1 content refused"), "550 5.7.1 content refused"),
]


@both_ways
@pytest.mark.parametrize(("moment", "action", "reply"), PERMANENT, ids=lambda value: str(value)[:30])
async def test_5yz_refuses_and_the_connection_is_kept(
    extensions: tuple[str, ...], moment: str, action: Action, reply: str
) -> None:
    async with Sink(extensions=extensions) as sink, delivering(settings(sink.port)) as delivery:
        sink.once(moment, action)
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Refused)
        assert str(outcome.reply) == reply
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert sink.connections == 1
        assert sink.violations == []


@both_ways
async def test_each_recipient_has_its_own_fate(extensions: tuple[str, ...]) -> None:
    async with Sink(extensions=extensions) as sink, delivering(settings(sink.port)) as delivery:
        sink.once("RCPT", Say("250 2.1.5 ok"), Say("450 4.2.1 busy"), Say("550 5.1.1 unknown"))
        outcomes = await delivery.deliver("provider:up", job("a@x.test", "b@x.test", "c@x.test"))
        assert [type(outcome) for outcome in outcomes] == [Delivered, Deferred, Refused]
        assert [message.recipients for message in sink.messages] == [["a@x.test"]]


async def test_nobody_accepted_and_yet_354_gets_a_lone_dot() -> None:
    """RFC 2920 section 3.1."""
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once("RCPT", Say("550 5.1.1 unknown"))
        sink.once("DATA", Say("354 go ahead"))
        sink.once(".", Say("554 5.5.1 no valid recipients"))
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Refused)
        assert outcome.reply.status == "5.1.1"


async def test_354_without_a_reverse_path_is_never_given_content() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once("MAIL", Say("550 5.7.1 no"))
        sink.once("RCPT", Say("250 2.1.5 ok"))
        sink.once("DATA", Say("354 go ahead"))
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Refused)
        assert sink.messages == []


async def test_recipients_a_server_has_no_room_for_follow_in_the_next_transaction() -> None:
    """RFC 5321 section 4.5.3.1.10: 452, and 552 as RFC 821 had it."""
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        ok = Say("250 2.1.5 ok")
        sink.once("RCPT", ok, ok, Say("452 4.5.3 too many"), Say("552 too many recipients"), ok)
        recipients = [f"r{number}@x.test" for number in range(5)]
        outcomes = await delivery.deliver("provider:up", job(*recipients))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert [message.recipients for message in sink.messages] == [
            ["r0@x.test", "r1@x.test", "r4@x.test"],
            ["r2@x.test", "r3@x.test"],
        ]
        assert sink.connections == 1


async def test_a_server_that_takes_nobody_is_not_asked_without_end() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.always("RCPT", Say("452 4.5.3 too many"))
        outcomes = await delivery.deliver("provider:up", job("a@x.test", "b@x.test"))
        assert all(isinstance(outcome, Deferred) for outcome in outcomes)
        assert len(sink.said("MAIL")) == 1


async def test_at_most_a_hundred_recipients_in_a_transaction() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        outcomes = await delivery.deliver("provider:up", job(*(f"r{number}@x.test" for number in range(250))))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert [len(message.recipients) for message in sink.messages] == [100, 100, 50]


@both_ways
async def test_a_refused_transaction_is_reset_before_the_next(extensions: tuple[str, ...]) -> None:
    async with Sink(extensions=extensions) as sink, delivering(settings(sink.port)) as delivery:
        sink.once("RCPT", Say("550 5.1.1 unknown"))
        await delivery.deliver("provider:up", job())
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert len(sink.said("RSET")) == 1
        await delivery.deliver("provider:up", job())
        assert len(sink.said("RSET")) == 1


async def test_a_large_message_is_given_whole_and_dots_are_kept() -> None:
    content = b"Subject: large\r\n\r\n" + b".starts with a dot\r\n..two\r\nplain\r\n" * 100_000
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        (outcome,) = await delivery.deliver("provider:up", job(content=content))
        assert isinstance(outcome, Delivered)
        assert sink.messages[0].content == content


async def test_a_large_message_refused_on_the_way_is_refused() -> None:
    """The server answers before the dot and does not read on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 impatient.test\r\n")
        for reply in (b"250 impatient.test\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(reply)
        await reader.read(1000)
        writer.write(b"552 5.3.4 too big\r\n")
        await asyncio.Event().wait()

    async with raw_server(serve) as port, delivering(settings(port)) as delivery:
        (outcome,) = await delivery.deliver("provider:up", job(content=b"x\r\n" * 10_000_000))
        assert isinstance(outcome, Refused)
        assert str(outcome.reply) == "552 5.3.4 too big"


async def test_a_server_that_stops_reading_times_out_without_doubt() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once("body", Wait(math.inf))
        large = job(content=b"x" * 70 + b"\r\n" + b"y\r\n" * 10_000_000)
        (outcome,) = await timing_out(delivery.deliver("provider:up", large), sink)
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.status, outcome.uncertain) == ("4.4.2", False)
