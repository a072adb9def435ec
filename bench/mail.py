"""The main comparison: `python -m bench.mail`. Targets take turns, so that all see the same machine.

Prints a table with ratios to the first peer and writes all figures as JSON.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import click

from bench import cpu
from bench.instruments import Instrument, Load, instruments
from bench.more_peers import HarakaDkim, OpenSmtpdDkim
from bench.peers import EximDkim, PostfixRspamd
from bench.targets import EarlierRelay, Postfix, PostfixOpenDkim, Relay, Target, signing_key


@dataclass(frozen=True)
class Figures:
    """What came of it. Seconds, and messages a second."""

    target: str
    instrument: str
    load: Load
    complete: bool
    signed: bool
    tracked: bool
    delivered_rate: float
    accepted_rate: float
    cpu_ms: float
    """CPU milliseconds a message, all processes of the target."""
    final_reply_p50: float
    final_reply_p99: float
    delay_p50: float
    """From MAIL to the arrival at the sink."""
    delay_p99: float
    memory_mb: float
    cpu_parts: dict[str, float] = field(default_factory=dict)
    """CPU milliseconds a message by part, of a target that is one process with its children."""


def measure(target: Target, instrument: Instrument, load: Load) -> Figures:
    """Send the load through a target that runs, and wait until all has arrived."""
    instrument.begin(load)
    roots = target.roots()
    before, parts_before = cpu.seconds(roots), _parts(roots)
    sent = instrument.send(target.port, load)
    arrived = instrument.arrived(load)

    time.sleep(0.3)
    spent = cpu.seconds(roots) - before
    parts = {name: 1000 * (value - parts_before[name]) / load.messages for name, value in _parts(roots).items()}
    return Figures(
        target=target.name,
        instrument=instrument.name,
        load=load,
        complete=arrived.unique == load.messages and not arrived.duplicates,
        signed=arrived.signed == load.messages,
        tracked=arrived.tracked == load.messages,
        delivered_rate=load.messages / (arrived.last - sent.first),
        accepted_rate=load.messages / (sent.last - sent.first),
        cpu_ms=1000 * spent / load.messages,
        final_reply_p50=sent.reply_p50,
        final_reply_p99=sent.reply_p99,
        delay_p50=arrived.delay_p50,
        delay_p99=arrived.delay_p99,
        memory_mb=cpu.resident(roots) / 1e6,
        cpu_parts=parts,
    )


def _parts(roots: list[int]) -> dict[str, float]:
    return cpu.parts(roots[0]) if len(roots) == 1 else {}


def compare(
    targets: Sequence[Callable[[int, bytes], Target]],
    instruments: Sequence[Instrument],
    loads: Sequence[Load],
    rounds: int,
) -> list[Figures]:
    """Measure all targets with all loads, round by round; each target is started anew for each load."""
    key = signing_key()
    found: list[Figures] = []
    for number in range(rounds):
        for instrument, load in product(instruments, loads):
            for kind in targets if number % 2 == 0 else reversed(targets):
                target = kind(instrument.port, key)
                try:
                    target.start()
                    measure(target, instrument, Load(load.workload, load.sessions, load.messages // 10))
                    found.append(measure(target, instrument, load))
                finally:
                    target.stop()
                click.echo(f"  {_line(found[-1])}", err=True)
    return found


def _line(one: Figures) -> str:
    what = f"{one.load.workload} ×{one.load.sessions}{' one a connection' if one.load.per_connection == 1 else ''}"
    return (
        f"{one.instrument:7}{what:24} {one.target:18} {one.delivered_rate:7.0f}/s {one.cpu_ms:6.2f} ms CPU"
        f"  accepted {one.accepted_rate:6.0f}/s"
        f"  p99 {1000 * one.final_reply_p99:6.1f} ms  {'' if one.complete else 'INCOMPLETE'}"
    )


RATIOS = ("delivered_rate", "cpu_ms", "accepted_rate")


def table(found: list[Figures]) -> str:
    """Return the medians of all rounds as a table, with the ratio of each peer to relay."""
    lines = [f"{'source':8}{'load':26}{'target':20}{'delivered/s':>12}{'relay is':>10}{'CPU ms':>9}{'relay is':>10}"]
    lines[0] += f"{'accepted/s':>12}{'relay is':>10}{'250 p99 ms':>12}"
    for instrument, load in dict.fromkeys((one.instrument, one.load) for one in found):
        rows = [one for one in found if (one.instrument, one.load) == (instrument, load)]
        ours = _medians(rows, found[0].target)
        for name in dict.fromkeys(one.target for one in rows):
            theirs = _medians(rows, name)
            what = f"{load.workload}, {load.sessions} sessions" + (", 1/conn" if load.per_connection == 1 else "")
            ratio = {key: f"{ours[key] / theirs[key]:.2f}×" if name != "relay" else "" for key in RATIOS}
            lines.append(
                f"{instrument:8}{what:26}{name:20}"
                f"{theirs['delivered_rate']:12.0f}{ratio['delivered_rate']:>10}"
                f"{theirs['cpu_ms']:9.2f}{ratio['cpu_ms']:>10}"
                f"{theirs['accepted_rate']:12.0f}{ratio['accepted_rate']:>10}"
                f"{1000 * theirs['final_reply_p99']:12.1f}"
            )
    return "\n".join(lines)


def parts_lines(found: list[Figures]) -> list[str]:
    """Return the CPU milliseconds a message of relay by thread and process, medians of the rounds, a line each load."""
    lines = []
    for instrument, load in dict.fromkeys((one.instrument, one.load) for one in found if one.target == "relay"):
        rows = [one.cpu_parts for one in found if (one.target, one.instrument, one.load) == ("relay", instrument, load)]
        parts = "   ".join(f"{name} {median(row[name] for row in rows):.2f}" for name in rows[0])
        lines.append(f"relay, {instrument}, {load.workload} ×{load.sessions}, CPU ms by part: {parts}")
    return lines


def _medians(found: list[Figures], name: str) -> dict[str, float]:
    rows = [asdict(one) for one in found if one.target == name]
    return {key: median(row[key] for row in rows) for key in rows[0] if isinstance(rows[0][key], float)}


TARGETS: tuple[type[Target], ...] = (
    Relay,
    PostfixOpenDkim,
    PostfixRspamd,
    Postfix,
    EximDkim,
    HarakaDkim,
    OpenSmtpdDkim,
)

CHECKOUT_OF_RELAY = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)


@click.command()
@click.option("--workloads", default="W1,W2,W3", show_default=True)
@click.option("--sessions", default=20, show_default=True)
@click.option("--messages", default=1500, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", default="", help="Names of targets, apart by commas.")
@click.option("--source", default="uvloop,C", show_default=True, help="Load sources, apart by commas.")
@click.option("--earlier", type=CHECKOUT_OF_RELAY, help="Another checkout of relay, which takes turns with the others.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench-results.json"), show_default=True)
def main(
    workloads: str,
    sessions: int,
    messages: int,
    rounds: int,
    only: str,
    source: str,
    earlier: Path | None,
    out: Path,
) -> None:
    """Compare relay with Postfix, Exim, Haraka and OpenSMTPD, where these are installed."""
    wanted = [kind for kind in TARGETS if not only or kind.name in only.split(",")]
    for kind in wanted:
        if kind.lacks():
            click.echo(f"{kind.name} is left out: {kind.lacks()}", err=True)
    targets: list[Callable[[int, bytes], Target]] = [kind for kind in wanted if not kind.lacks()]
    if earlier is not None:
        targets.insert(1, partial(EarlierRelay, earlier))
    loads = [
        Load(name, sessions, messages if name != "W3" else max(messages // 3, 1), per_connection)
        for name in workloads.split(",")
        for per_connection in ((0, 1) if name == "W2" else (0,))
    ]
    sources = instruments(source)
    try:
        found = compare(targets, sources, loads, rounds)
    finally:
        for one in sources:
            one.close()
    out.write_text(json.dumps([asdict(one) for one in found], indent=1))
    click.echo(table(found))
    for line in parts_lines(found):
        click.echo(line)
    signature = cpu.signature_ms()
    if signature is not None:
        click.echo(f"one RSA-2048 signature on this processor: {signature:.3f} CPU ms, {1000 / signature:.0f} a second")
    click.echo(f"All figures: {out}")


if __name__ == "__main__":
    main()
