"""Sessions between transactions: kept, shared fairly, replaced when they died, ended when they have done enough."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from relay.config.sites import SiteProfile
from relay.content_file import LARGE
from relay.delivery import SmtpDelivery, smtp_delivery
from relay.delivery.commands import TransactionCommands, build_commands
from relay.limits.priority import Flow
from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.context import INTERNAL_ERROR
from relay.queue.message import Message
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


async def test_domains_on_one_server_share_its_connections_and_sessions() -> None:
    """Twenty domains, by one name or by a name for each customer: one site."""
    lines = [
        f"d{n}.test. MX 10 mx.site.test.\nv{n}.test. MX 10 mx.v{n}.test.\nmx.v{n}.test. A 127.0.0.1" for n in range(10)
    ]
    async with Sink() as sink, DnsServer("\n".join(("mx.site.test. A 127.0.0.1", *lines))) as dns:
        of = settings(sink.port, connections_per_lane=2)
        async with delivering(of, dns) as delivery:
            lanes = [f"mx:{kind}{n}.test" for n in range(10) for kind in "dv"] * 2
            outcomes = await asyncio.gather(*(delivery.deliver(lane, job()) for lane in lanes))
            assert all(isinstance(one, Delivered) for (one,) in outcomes)
            assert sink.most_open <= 2
            # A session of another domain is used again if it is with a host of this one.
            before = sink.connections
            await delivery.deliver("mx:d0.test", job())
            await delivery.deliver("mx:d9.test", job())
            assert sink.connections <= before + 1


async def test_a_domain_that_moved_counts_for_the_site_that_it_leads_to_now() -> None:
    """The site of a lane is kept for minutes, and DNS may change before the connection is opened."""
    zone = "a.test. MX 10 old.test.\nold.test. A 127.0.1.1\nb.test. MX 10 new.test.\nnew.test. A 127.0.0.1"
    async with Sink() as new, Sink(address="127.0.1.1", port=new.port), DnsServer(zone) as dns:
        resolver = dns.resolver()
        of = settings(new.port, connections_per_lane=1, messages_per_connection=1)
        delivery = make_delivery(lambda: of, resolver)
        await delivery.deliver("mx:a.test", job())
        dns.change("a.test. MX 10 new.test.")
        resolver.forget()

        new.always(".", Wait(0.05))
        lanes = ["mx:b.test", "mx:a.test"] * 3
        outcomes = await asyncio.gather(*(delivery.deliver(lane, job()) for lane in lanes))
        await delivery.close()
        assert all(isinstance(one, Delivered) for (one,) in outcomes)
        assert (len(new.messages), new.most_open) == (6, 1)


async def test_domains_of_a_profile_share_its_connections() -> None:
    """200 domains behind two MX hosts: never more connections than the site may have."""
    lines = [f"d{n}.test. MX 10 mx{n % 2}.big.test." for n in range(200)]
    zone = "\n".join(("mx0.big.test. A 127.0.0.1\nmx1.big.test. A 127.0.1.1", *lines))
    async with Sink() as one, Sink(address="127.0.1.1", port=one.port) as two, DnsServer(zone) as dns:
        profile = SiteProfile(name="big", mx=("*.big.test",), connections=5, messages_per_connection=7)
        of = settings(one.port).replaced({"sites": (profile,)})
        for sink in (one, two):
            sink.always(".", Wait(0.005))
        async with delivering(of, dns) as delivery:
            under_way = asyncio.gather(*(delivery.deliver(f"mx:d{n}.test", job()) for n in range(200)))
            open_at_once = set()
            while not under_way.done():
                open_at_once.add(one.open + two.open)
                await asyncio.sleep(0.001)
            assert all(isinstance(found, Delivered) for (found,) in under_way.result())
            assert max(open_at_once) == 5
            assert one.connections + two.connections >= 200 // 7


async def test_sites_that_have_accepted_nothing_hold_half_of_the_connections_and_one_principal_a_part_of_it() -> None:
    """Three silent hosts do not hold up a host that works, nor all connections to hosts that are new."""
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(Sink())
        silent = [await stack.enter_async_context(Sink(address=f"127.0.1.{n}", port=good.port)) for n in range(3)]
        for sink in silent:
            sink.always("greeting", Hang())
        hosts = {f"s{n}": f"127.0.1.{n}" for n in range(3)} | {"good": "127.0.0.1", "new": "127.0.0.1"}
        zone = "\n".join(f"{name}.test. MX 10 m{name}.test.\nm{name}.test. A {at}" for name, at in hosts.items())
        dns = await stack.enter_async_context(DnsServer(zone))
        of = settings(good.port, connections_per_lane=4, max_connections=12)
        delivery = await stack.enter_async_context(delivering(of, dns))
        await delivery.deliver("mx:good.test", job())
        lanes = [f"mx:s{n}.test" for n in range(3)] * 4
        hanging = [asyncio.ensure_future(delivery.deliver(lane, job(flow=Flow("a")))) for lane in lanes]
        await until(lambda: sum(sink.open for sink in silent) == 4)
        for lane, flow in (("mx:good.test", Flow("a")), ("mx:new.test", Flow("b"))):
            (outcome,) = await delivery.deliver(lane, job(flow=flow))
            assert isinstance(outcome, Delivered)
        assert sum(sink.open for sink in silent) == 4
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_large_messages_leave_one_connection_of_a_lane_to_small_ones() -> None:
    large = Message("q1", 0.0, "a@acme.test", size=LARGE + 1)
    async with Sink() as sink, delivering(settings(sink.port, connections_per_lane=3)) as delivery:
        sink.always("DATA", Hang())
        hanging = [asyncio.ensure_future(delivery.deliver("provider:up", job(message=large))) for _ in range(5)]
        await until(lambda: len(sink.said("DATA")) == 2)
        sink.behave()
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert sink.connections == 3
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_sender_whose_transactions_hang_leaves_one_connection_of_a_lane_to_others() -> None:
    async with Sink() as sink, delivering(settings(sink.port, connections_per_lane=3)) as delivery:
        await delivery.deliver("provider:up", job(flow=Flow("network:10.0.0.2")))
        sink.always("DATA", Hang())
        hangs = job(flow=Flow("network:10.0.0.1"))
        hanging = [asyncio.ensure_future(delivery.deliver("provider:up", hangs)) for _ in range(5)]
        await until(lambda: len(sink.said("DATA")) == 3)
        sink.behave()
        for _ in range(3):
            (outcome,) = await delivery.deliver("provider:up", job(flow=Flow("network:10.0.0.3")))
            assert isinstance(outcome, Delivered)
        assert len(sink.said("DATA")) == 6
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
