"""What memory a relay needs, at rest, with idle sessions, under many large mails: `python -m bench.memory`."""

import asyncio
import threading
import time
from typing import Self

import click

from bench import cpu
from bench.instruments import UvloopInstrument
from bench.targets import Relay, signing_key

_HEADER = b"From: a@sender.bench\r\nTo: b@rcpt.bench\r\nX-Bench: %032d\r\nSubject: large\r\n\r\n"

_LINE = b"0123456789" * 7 + b"\r\n"


async def _idle(port: int, sessions: int, roots: list[int]) -> int:
    """Open sessions and return the memory while they are open."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(sessions)]
    for reader, _ in opened:
        await reader.readline()
    await asyncio.sleep(1)
    used = cpu.resident(roots)
    for _, writer in opened:
        writer.close()
    return used


async def _large(port: int, sessions: int, octets: int) -> None:
    """Send one large message over each session, all at once."""
    block = _LINE * 1000
    await asyncio.gather(*(_send(port, number, block, octets) for number in range(sessions)))


async def _send(port: int, number: int, block: bytes, octets: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    for command in (b"HELO bench", b"MAIL FROM:<a@sender.bench>", b"RCPT TO:<b@rcpt.bench>", b"DATA"):
        writer.write(command + b"\r\n")
        await reader.readline()
    writer.write(_HEADER % number)
    for _ in range(octets // len(block)):
        writer.write(block)
        await writer.drain()
    writer.write(b".\r\n")
    reply = await reader.readline()
    if not reply.startswith(b"250"):
        raise SystemExit(f"a large message was answered {reply!r}")
    writer.close()


class Peak:
    """The highest memory seen while it watches."""

    def __init__(self, roots: list[int]) -> None:
        self.octets = 0
        self._roots = roots
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.octets = max(self.octets, cpu.resident(self._roots))


@click.command()
@click.option("--sessions", default=100, show_default=True)
@click.option("--octets", default=25_000_000, show_default=True)
def main(sessions: int, octets: int) -> None:
    """Measure the memory of a relay (PSS of all its processes)."""
    sink = UvloopInstrument()
    relay = Relay(sink.port, signing_key())
    try:
        relay.start()
        time.sleep(2)
        roots = relay.roots()
        server, rest = (cpu.resident(roots) - cpu.resident(cpu.tree(roots)[1:])) / 1e6, cpu.resident(roots) / 1e6
        click.echo(f"at rest: {rest:.0f} MB (server {server:.0f} MB)")
        idle = asyncio.run(_idle(relay.port, 1000, roots)) / 1e6
        click.echo(f"1,000 idle sessions: {idle:.0f} MB")
        with Peak(roots) as peak:
            asyncio.run(_large(relay.port, sessions, octets))
            while sink.counts()["taken"] < sessions:
                time.sleep(0.5)
        click.echo(f"{sessions} sessions sending {octets / 1e6:.0f} MB each: peak {peak.octets / 1e6:.0f} MB")
    finally:
        relay.stop()
        sink.close()


if __name__ == "__main__":
    main()
