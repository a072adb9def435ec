"""An innocent mail among all that one sender can do to others: `python -m tests.abuse.bulkheads`.

One identity sends to hosts that hang, stop reading and drip, sends large mail, floods the host that works, and sends
mail that takes a renderer long. Another identity sends single mails to the host that works. Prints how long they took,
before and meanwhile, the memory of the relay, and the connections that the first identity had.
"""

import asyncio
import os
import smtplib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from pathlib import Path

from tests.servers.actions import Received
from tests.servers.dns_server import DnsServer
from tests.servers.hostile_hosts import HostileHosts, Serve, drips, silent, stops_reading
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

MAX_CONNECTIONS = 60

HOSTILE_SHARE = 20
"""Connections of one identity to hosts that have accepted nothing: two thirds of the half of all."""

MAX_LATENCY = 1.0
"""Seconds that single mails take at the 95th percentile, at most: on a machine that is not busy with other work."""

MEMORY = 600e6
"""Octets of the relay and its renderers, at most."""

BULK, SINGLE = "bulk@acme.test", "single@bcme.test"

CONFIG = """
[identities."bulk@acme.test"]
hourly_limit = 0
daily_limit = 0
[identities."single@bcme.test"]
hourly_limit = 0
daily_limit = 0
[limits]
identity_daily_ceiling = 0
max_message_size = "30MiB"
[resolver]
nameservers = ["127.0.0.1:{nameserver}"]
[delivery]
port = {port}
max_connections = {connections}
allow_networks = ["127.0.0.0/8"]
"""


@dataclass(frozen=True)
class Mix:
    """What the first identity does, and how many single mails the other one sends before and meanwhile."""

    silent: int
    stopping: int
    dripping: int
    """Hosts of each kind."""
    each: int
    """Mails for each of them."""
    large: int
    """Mails of 20 MiB for the hosts that stop reading."""
    flood: int
    """Mails for the host that works."""
    slow: int
    """Mails that take a renderer long."""
    singles: int


SMALL = Mix(silent=20, stopping=3, dripping=3, each=2, large=1, flood=40, slow=1, singles=8)

LONG = Mix(silent=100, stopping=10, dripping=10, each=10, large=15, flood=2000, slow=20, singles=100)


class TimedSink(Sink):
    """A sink that notes when each subject arrived."""

    def __init__(self, arrived: dict[str, float], address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(address=address, port=port)
        self.arrived = arrived

    def keep(self, message: Received) -> None:
        head, _, _ = message.content.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.startswith(b"Subject: "):
                self.arrived[line[9:].decode()] = time.monotonic()
        message.content = b""
        super().keep(message)


class ByMx(RelayProcess):
    """A relay that delivers to MX hosts."""

    def _toml(self, sink_port: int, more: str) -> str:
        return super()._toml(sink_port, more).replace('[defaults]\nprovider = "sink"', "")


@dataclass
class Figures:
    """What came of it: seconds from the 250 for a single mail to its arrival, octets, connections."""

    before: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)
    memory: int = 0
    hostile: int = 0
    """Most connections to hostile hosts."""
    still_hostile: int = 0
    """Those that were open when the last single mail had arrived."""

    def __str__(self) -> str:
        waits = " ".join(
            f"{name} p50 {quantile(waits, 0.5):.3f} p95 {quantile(waits, 0.95):.3f} s;"
            for name, waits in (("before", self.before), ("meanwhile", self.meanwhile))
        )
        return (
            f"single mails: {waits} memory {self.memory / 1e6:.0f} MB; "
            f"connections to hostile hosts {self.hostile}, of a share of {HOSTILE_SHARE}"
        )


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def trial(folder: Path, mix: Mix) -> Figures:
    """Run the mix against a relay of its own."""
    found, arrived = Figures(), dict[str, float]()
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer("good.test. MX 10 mx.good.test.\nmx.good.test. A 127.0.0.1"))
        sink = await stack.enter_async_context(TimedSink(arrived))
        for number in range(1, mix.singles + 1):
            address = f"127.0.9.{number}"
            await stack.enter_async_context(TimedSink(arrived, address, sink.port))
            dns.add(f"new{number}.test. A {address}")
        kinds: dict[str, tuple[int, Serve]] = {
            "silent": (mix.silent, silent),
            "stopping": (mix.stopping, stops_reading),
            "dripping": (mix.dripping, drips),
        }
        hosts = [
            await stack.enter_async_context(_hosts(dns, name, place, count, serve, sink.port))
            for place, (name, (count, serve)) in enumerate(kinds.items(), 1)
        ]
        config = CONFIG.format(nameserver=dns.port, port=sink.port, connections=MAX_CONNECTIONS)
        relay = await stack.enter_async_context(ByMx(folder, sink.port, config))
        assert relay.process is not None

        with watched_memory(relay.process.pid) as memory:
            await _send_singles(relay.port, arrived, ["good.test"])  # The first one starts what later ones find.
            found.before = await _send_singles(relay.port, arrived, ["good.test"] * mix.singles)
            attack = asyncio.create_task(asyncio.to_thread(_attack, relay.port, mix))
            await until(lambda: sum(one.open for one in hosts) >= min(HOSTILE_SHARE, mix.silent))
            found.meanwhile = await _send_singles(relay.port, arrived, _destinations(mix))
            await attack
            found.meanwhile += await _send_singles(relay.port, arrived, ["good.test"] * mix.singles)
        found.memory, found.hostile = memory[0], sum(one.most_open for one in hosts)
        found.still_hostile = sum(one.open for one in hosts)
    return found


def _destinations(mix: Mix) -> list[str]:
    """Return the domains of single mails: the host that works, and each time one that is new to the relay."""
    return [domain for number in range(1, mix.singles + 1) for domain in ("good.test", f"new{number}.test")]


def _hosts(dns: DnsServer, name: str, place: int, count: int, serve: Serve, port: int) -> HostileHosts:
    addresses = [f"127.0.{place}.{number}" for number in range(1, count + 1)]
    for number, address in enumerate(addresses):
        dns.add(f"{name}{number}.test. MX 10 mx.{name}{number}.test.")
        dns.add(f"mx.{name}{number}.test. A {address}")
    return HostileHosts(addresses, port, serve)


async def _send_singles(port: int, arrived: dict[str, float], domains: Sequence[str]) -> list[float]:
    """Send single mails, one after the other; return how long each took from its 250 to its arrival."""
    waits: list[float] = []
    for domain in domains:
        subject = f"single {len(arrived)} {len(waits)} {domain}"
        text = _mail(SINGLE, subject, "<p>Your code: 1</p>")
        await asyncio.to_thread(_send, port, SINGLE, [f"ada@{domain}"], text)
        accepted = time.monotonic()
        await until(partial(arrived.__contains__, subject))
        waits.append(max(0.0, arrived[subject] - accepted))
    return waits


def _attack(port: int, mix: Mix) -> None:
    """Send everything of the first identity."""
    small = _mail(BULK, "hello", "<p>Hello</p>")
    large = _mail(BULK, "large", "<p>Hello</p>" + "<!-- x -->\r\n" * (20 * 1024 * 1024 // 12))
    slow = [_mail(BULK, f"slow {number}", "<a href=x><b>" * 75_000) for number in range(mix.slow)]
    kinds = {"silent": mix.silent, "stopping": mix.stopping, "dripping": mix.dripping}
    domains = [f"{name}{number}.test" for name, count in kinds.items() for number in range(count)]
    with smtplib.SMTP("127.0.0.1", port, timeout=300) as client:
        for number in range(mix.each):
            for domain in domains:
                client.sendmail(BULK, [f"u{number}@{domain}"], small)
        for number, text in enumerate(slow):
            client.sendmail(BULK, [f"slow{number}@good.test"], text)
        for number in range(mix.large):
            client.sendmail(BULK, [f"large{number}@stopping{number % mix.stopping}.test"], large)
        for number in range(mix.flood):
            client.sendmail(BULK, [f"u{number}@good.test"], small)


def _send(port: int, sender: str, recipients: list[str], mail: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=300) as client:
        client.sendmail(sender, recipients, mail)


def _mail(sender: str, subject: str, html: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, "ada@good.test", subject
    mail.set_content("Hello")
    mail.add_alternative(f"<html><body>{html}</body></html>", subtype="html", cte="7bit")
    return mail.as_bytes().replace(b"\n", b"\r\n")


@contextmanager
def watched_memory(root: int) -> Iterator[list[int]]:
    """Note the most octets that the process and those below it used together."""
    most = [0]

    async def watch() -> None:
        while True:
            most[0] = max(most[0], _memory(root))
            await asyncio.sleep(0.2)

    task = asyncio.ensure_future(watch())
    try:
        yield most
    finally:
        task.cancel()


def _memory(root: int) -> int:
    """Return the memory of a process and those below it, counting shared pages once (proc_pid_smaps(5))."""
    total, pids = 0, [root]
    while pids:
        pid = pids.pop()
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
        pids += map(int, children.split())
    return total


def verdict(found: Figures) -> list[str]:
    """Return what is wrong."""
    faults = []
    if quantile(found.meanwhile, 0.95) > MAX_LATENCY:
        faults.append(f"the p95 of single mails is above {MAX_LATENCY:g} s")
    if found.memory > MEMORY:
        faults.append(f"the memory is above {MEMORY / 1e6:.0f} MB")
    if found.hostile > HOSTILE_SHARE:
        faults.append(f"connections to hostile hosts are above {HOSTILE_SHARE}")
    return faults


def main() -> int:
    mix = SMALL if "small" in sys.argv else LONG
    with tempfile.TemporaryDirectory(prefix="relay-bulkheads-", dir=os.environ.get("TMPDIR")) as folder:
        found = asyncio.run(trial(Path(folder), mix))
    print(found)
    faults = verdict(found)
    print("\n".join(f"  failed: {fault}" for fault in faults) or "abuse bulkheads: passed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
