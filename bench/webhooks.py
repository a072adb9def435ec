"""What webhooks cost mail: `python -m bench.webhooks`.

relay without webhooks, with three dead ones, and with one that works take turns. A dead receiver refuses connections,
never answers, or answers 503. CPU time is compared: on a busy machine the rate says little.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import click
from aiohttp import web

from bench.instruments import Load, UvloopInstrument
from bench.mail import compare
from bench.targets import Relay

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

CLOSED, SILENT, BUSY, GOOD = range(9701, 9705)
"""Ports below those that the system gives: no other server of the bench gets one."""


def section(name: str, port: int) -> str:
    """Return the section of a webhook at a port of this machine."""
    return f"""
[[webhook]]
name = "{name}"
url = "http://127.0.0.1:{port}/"
secret = ["{SECRET}"]
allow_networks = ["127.0.0.1/32"]
"""


class WithDeadWebhooks(Relay):
    """relay with three receivers that are down."""

    name = "relay, 3 dead"
    more = section("closed", CLOSED) + section("silent", SILENT) + section("busy", BUSY)


class WithWebhook(Relay):
    """relay with a receiver that takes all events."""

    name = "relay, 1 works"
    more = section("good", GOOD)


@contextmanager
def receivers() -> Iterator[None]:
    """Run the receivers in a thread of this process, whose CPU time is not counted."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(_listen(), loop).result(10)
    yield
    loop.call_soon_threadsafe(loop.stop)


async def _listen() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async def good(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    for port, handler in ((SILENT, silent), (BUSY, busy), (GOOD, good)):
        app = web.Application()
        app.router.add_post("/", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()


@click.command()
@click.option("--messages", default=2000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(messages: int, rounds: int) -> None:
    """Compare the CPU time of a message."""
    with receivers():
        instrument = UvloopInstrument()
        found = compare([Relay, WithDeadWebhooks, WithWebhook], [instrument], [Load("W2", 20, messages)], rounds)
        instrument.close()
    base = median(one.cpu_ms for one in found if one.target == Relay.name)
    for kind in (Relay, WithDeadWebhooks, WithWebhook):
        own = [one for one in found if one.target == kind.name]
        cpu, rate = median(one.cpu_ms for one in own), median(one.delivered_rate for one in own)
        click.echo(f"{kind.name:16}{cpu:8.2f} ms CPU a message ({cpu / base - 1:+.1%}){rate:8.0f} delivered/s")


if __name__ == "__main__":
    main()
