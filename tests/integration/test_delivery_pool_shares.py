"""Who shares the connections of a site: its domains, its profile, and the principals that send to it."""

import asyncio
from contextlib import AsyncExitStack

from relay.config.sites import SiteProfile
from relay.content_file import LARGE
from relay.limits.priority import Flow
from relay.queue.message import Message
from relay.queue.outcome import Delivered
from tests.servers import DnsServer, Hang, Sink, Wait
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, make_delivery, settings
from tests.servers.waiting import until


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
