"""Sessions between transactions: kept, shared fairly, replaced when they died, ended when they have done enough."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from relay.delivery import SmtpDelivery, smtp_delivery
from relay.delivery.commands import TransactionCommands, build_commands
from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.context import INTERNAL_ERROR
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.ports import Rendered
from relay.resolver import Resolver
from tests.servers import DnsServer, Drop, Hang, Say, Sink, Wait
from tests.servers.actions import Action
from tests.servers.jobs import job
from tests.servers.relay_harness import Notes, delivering, make_delivery, settings, timing_out
from tests.servers.waiting import until


async def deliver_many(delivery: SmtpDelivery, count: int, lane: str = "provider:up") -> list[Sequence[Outcome]]:
    return await asyncio.gather(*(delivery.deliver(lane, job()) for _ in range(count)))


async def test_one_session_serves_many_messages() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        for _ in range(20):
            await delivery.deliver("provider:up", job())
        assert (sink.connections, len(sink.messages)) == (1, 20)


async def test_a_lane_has_no_more_connections_than_it_may() -> None:
    async with Sink() as sink, delivering(settings(sink.port, connections_per_lane=3)) as delivery:
        sink.always(".", Wait(0.01))
        outcomes = await deliver_many(delivery, 30)
        assert all(isinstance(outcome, Delivered) for (outcome,) in outcomes)
        assert (sink.connections, sink.most_open) == (3, 3)


async def test_a_provider_may_have_its_own_number_of_connections() -> None:
    of_provider = {"connections": 2}
    async with Sink() as sink, delivering(settings(sink.port, of_provider, connections_per_lane=9)) as delivery:
        sink.always(".", Wait(0.01))
        await deliver_many(delivery, 10)
        assert sink.most_open == 2


async def test_a_session_ends_after_its_messages_with_a_goodbye() -> None:
    async with Sink() as sink, delivering(settings(sink.port, messages_per_connection=2)) as delivery:
        for _ in range(5):
            await delivery.deliver("provider:up", job())
        await until(lambda: len(sink.said("QUIT")) == 2)
        assert sink.connections == 3


async def test_an_idle_session_is_ended_with_a_goodbye() -> None:
    async with Sink() as sink, delivering(settings(sink.port, idle_timeout="50ms")) as delivery:
        await delivery.deliver("provider:up", job())
        await until(lambda: sink.open == 0)
        assert len(sink.said("QUIT")) == 1


async def test_close_ends_the_kept_sessions() -> None:
    async with Sink() as sink:
        async with delivering(settings(sink.port)) as delivery:
            await delivery.deliver("provider:up", job())
        assert len(sink.said("QUIT")) == 1
        await until(lambda: sink.open == 0)


async def test_nothing_is_kept_after_close() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once(".", Wait(0.05))
        under_way = asyncio.create_task(delivery.deliver("provider:up", job()))
        await until(lambda: sink.open == 1)
        await delivery.close()
        (outcome,) = await under_way
        assert isinstance(outcome, Delivered)
        await until(lambda: sink.open == 0)


@pytest.mark.parametrize("while_idle", [None, b"421 4.4.2 idle too long\r\n"], ids=["closed", "421"])
async def test_a_session_that_died_while_idle_is_replaced(while_idle: bytes | None) -> None:
    writers: list[asyncio.StreamWriter] = []

    class Closing(Sink):
        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await super()._serve(reader, writer)

    async with Closing() as sink, delivering(settings(sink.port)) as delivery:
        await delivery.deliver("provider:up", job())
        if while_idle:
            writers[0].write(while_idle)
        writers[0].close()
        await asyncio.sleep(0.02)
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert (sink.connections, len(sink.messages)) == (2, 2)


@pytest.mark.parametrize("action", [Drop(), Say("421 4.7.0 enough for one connection", drop=True)], ids=str)
@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "stepwise"])
async def test_a_kept_session_that_ends_at_mail_does_not_cost_an_attempt(
    action: Action, extensions: tuple[str, ...]
) -> None:
    async with Sink(extensions=extensions) as sink, delivering(settings(sink.port)) as delivery:
        await delivery.deliver("provider:up", job())
        sink.once("MAIL", action)
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert sink.connections == 2


async def test_a_session_lost_at_reset_does_not_cost_an_attempt() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once("RCPT", Say("550 5.1.1 unknown"))
        await delivery.deliver("provider:up", job())
        sink.once("RSET", Say("500 5.5.1 what?"))
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert sink.connections == 2


async def test_a_kept_session_that_falls_silent_costs_an_attempt() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        await delivery.deliver("provider:up", job())
        sink.once("MAIL", Hang())
        (outcome,) = await timing_out(delivery.deliver("provider:up", job()), sink)
        assert isinstance(outcome, Deferred)
        assert sink.connections == 1


async def test_a_hanging_destination_does_not_hold_another_up() -> None:
    zone = "slow.test. MX 1 mx.slow.test.\nmx.slow.test. A 127.0.0.1\nquick.test. MX 1 mx.quick.test.\n"
    async with Sink() as slow, Sink(address="127.0.0.2", port=slow.port) as quick:
        of = settings(slow.port, connections_per_lane=4)
        async with DnsServer(zone + "mx.quick.test. A 127.0.0.2") as dns, delivering(of, dns) as delivery:
            slow.always("RCPT", Hang())
            hanging = [asyncio.create_task(delivery.deliver("mx:slow.test", job())) for _ in range(20)]
            await until(lambda: len(slow.said("RCPT")) == 4)
            outcomes = await deliver_many(delivery, 10, "mx:quick.test")
            assert not any(task.done() for task in hanging)
            assert all(isinstance(outcome, Delivered) for (outcome,) in outcomes)
            assert len(quick.messages) == 10
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
            await until(lambda: slow.open == 0)


async def test_kept_sessions_make_room_when_the_total_is_reached() -> None:
    zone = "".join(f"d{n}.test. MX 1 mx.d{n}.test.\nmx.d{n}.test. A 127.0.0.1\n" for n in range(4))
    two: dict[str, Any] = {"max_connections": 2}
    async with Sink() as sink, DnsServer(zone) as dns, delivering(settings(sink.port, **two), dns) as delivery:
        for number in range(4):
            (outcome,) = await delivery.deliver(f"mx:d{number}.test", job())
            assert isinstance(outcome, Delivered)
        await until(lambda: sink.open == 2)
        assert len(sink.said("QUIT")) == 2


async def test_a_cancelled_delivery_drops_its_session() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once("RCPT", Hang())
        task = asyncio.create_task(delivery.deliver("provider:up", job()))
        await until(lambda: sink.said("RCPT"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: sink.open == 0)
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)


async def test_a_renderer_that_raises_gives_its_place_back() -> None:
    async def render(eight_bit: bool) -> Rendered:
        raise RuntimeError("no renderer")

    async with Sink() as sink, delivering(settings(sink.port, connections_per_lane=1)) as delivery:
        assert await delivery.deliver("provider:up", replace(job(), render=render)) == [INTERNAL_ERROR]
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)


async def test_after_a_reload_no_session_of_before_is_used() -> None:
    async with Sink() as before, Sink() as after:
        now = settings(before.port)
        delivery = make_delivery(lambda: now, Resolver([("127.0.0.1", 9)]))
        await delivery.deliver("provider:up", job())
        now = settings(after.port)
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert (len(before.messages), len(after.messages)) == (1, 1)
        await until(lambda: before.open == 0)
        await delivery.close()


async def test_a_delivery_is_in_the_journal_before_anything_else() -> None:
    """The record is written as the octets of the 250 arrive, in no task that a busy loop may resume later."""
    notes = Notes()
    async with Sink() as sink, delivering(settings(sink.port), notes=notes) as delivery:
        sink.once("RCPT", Say("550 5.1.1 no such user"))
        refused, accepted = await delivery.deliver("provider:up", job("a@x.test", "b@x.test"))
        assert isinstance(refused, Refused)
        assert isinstance(accepted, Delivered)
        (record,) = notes.records
        assert (record.queue_id, record.numbers, record.outcome, notes.late) == ("q1", (1,), accepted, 0)
        sink.once(".", Say("451 4.3.0 not now"))
        await delivery.deliver("provider:up", job())
        assert len(notes.records) == 1


async def test_what_was_accepted_before_an_exception_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipients beyond one transaction go in the next, and that may raise."""
    notes = Notes()
    builders = [build_commands]

    def once(*of: Any) -> TransactionCommands:
        if not builders:
            raise ZeroDivisionError("the second transaction")
        return builders.pop()(*of)

    monkeypatch.setattr(smtp_delivery, "build_commands", once)
    async with Sink() as sink, delivering(settings(sink.port), notes=notes) as delivery:
        recipients = [f"u{number}@x.test" for number in range(MAX_RECIPIENTS + 1)]
        outcomes = await delivery.deliver("provider:up", job(*recipients))
        assert all(isinstance(one, Delivered) for one in outcomes[:-1])
        assert outcomes[-1] == INTERNAL_ERROR
        assert notes.raised == ["ZeroDivisionError('the second transaction')"]
        (record,) = notes.records
        assert record.numbers == tuple(range(MAX_RECIPIENTS))
