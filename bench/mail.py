"""The main comparison: `python -m bench.mail`. Targets take turns, so that all see the same machine.

Prints a table with ratios to the first peer and writes all figures as JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import click

from bench import cpu
from bench.targets import Postfix, PostfixOpenDkim, Relay, Target, free_port, signing_key

DRAIN = 120.0
"""Seconds the last delivery may take."""


@dataclass(frozen=True)
class Load:
    """What is sent: sessions at a time, messages in all, messages through one connection (0: all of a session's)."""

    workload: str
    sessions: int
    messages: int
    per_connection: int = 0
    rate: float = 0.0


@dataclass(frozen=True)
class Figures:
    """What came of it. Seconds, and messages a second."""

    target: str
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


class Sink:
    """The receiving server in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.sink", str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._answers = self._process.stdin, self._process.stdout

    def counts(self, command: bytes = b"count") -> dict[str, Any]:
        """Return the counts; "reset" begins anew."""
        self._commands.write(command + b"\n")
        self._commands.flush()
        counts: dict[str, Any] = json.loads(self._answers.readline())
        return counts

    def close(self) -> None:
        """End it."""
        self._commands.close()
        self._process.wait(10)


def measure(target: Target, sink: Sink, load: Load) -> Figures:
    """Send the load through a target that runs, and wait until all has arrived."""
    sink.counts(b"reset")
    roots = target.roots()
    before, parts_before = cpu.seconds(roots), _parts(roots)
    plan = json.dumps({"port": target.port, **asdict(load)})
    sent = json.loads(
        subprocess.run([sys.executable, "-m", "bench.source", plan], check=True, stdout=subprocess.PIPE).stdout
    )
    give_up = time.monotonic() + DRAIN
    while (counts := sink.counts())["unique"] < load.messages and time.monotonic() < give_up:
        time.sleep(0.1)
    time.sleep(0.3)
    spent = cpu.seconds(roots) - before
    parts = {name: 1000 * (value - parts_before[name]) / load.messages for name, value in _parts(roots).items()}
    return Figures(
        target=target.name,
        load=load,
        complete=counts["unique"] == counts["taken"] == load.messages,
        signed=counts["signed"] == load.messages,
        tracked=counts["tracked"] == load.messages,
        delivered_rate=load.messages / (counts["last"] - sent["first"]),
        accepted_rate=load.messages / (sent["last"] - sent["first"]),
        cpu_ms=1000 * spent / load.messages,
        final_reply_p50=quantile(sent["waits"], 0.5),
        final_reply_p99=quantile(sent["waits"], 0.99),
        delay_p50=quantile(counts["delays"], 0.5),
        delay_p99=quantile(counts["delays"], 0.99),
        memory_mb=cpu.resident(roots) / 1e6,
        cpu_parts=parts,
    )


def _parts(roots: list[int]) -> dict[str, float]:
    return cpu.parts(roots[0]) if len(roots) == 1 else {}


def quantile(ordered: list[float], part: float) -> float:
    """Return the value that this part of the ordered ones does not exceed, 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def compare(targets: Sequence[type[Target]], loads: Sequence[Load], rounds: int) -> list[Figures]:
    """Measure all targets with all loads, round by round; each target is started anew for each load."""
    sink, key = Sink(), signing_key()
    found: list[Figures] = []
    try:
        for number in range(rounds):
            for load in loads:
                for kind in targets if number % 2 == 0 else reversed(targets):
                    target = kind(sink.port, key)
                    try:
                        target.start()
                        measure(target, sink, Load(load.workload, load.sessions, load.messages // 10))
                        found.append(measure(target, sink, load))
                    finally:
                        target.stop()
                    click.echo(f"  {_line(found[-1])}", err=True)
    finally:
        sink.close()
    return found


def _line(one: Figures) -> str:
    what = f"{one.load.workload} ×{one.load.sessions}{' one a connection' if one.load.per_connection == 1 else ''}"
    return (
        f"{what:24} {one.target:18} {one.delivered_rate:7.0f}/s {one.cpu_ms:6.2f} ms CPU"
        f"  accepted {one.accepted_rate:6.0f}/s"
        f"  p99 {1000 * one.final_reply_p99:6.1f} ms  {'' if one.complete else 'INCOMPLETE'}"
    )


def table(found: list[Figures]) -> str:
    """Return the medians of all rounds as a table, with the ratio of each peer to relay."""
    lines = [f"{'load':26}{'target':20}{'delivered/s':>12}{'relay is':>10}{'CPU ms':>9}{'relay is':>10}"]
    lines[0] += f"{'accepted/s':>12}{'250 p99 ms':>12}"
    for load in dict.fromkeys(one.load for one in found):
        ours = _medians(found, found[0].target, load)
        for name in dict.fromkeys(one.target for one in found):
            theirs = _medians(found, name, load)
            what = f"{load.workload}, {load.sessions} sessions" + (", 1/conn" if load.per_connection == 1 else "")
            faster = f"{ours['delivered_rate'] / theirs['delivered_rate']:.1f}×" if name != "relay" else ""
            lighter = f"1/{theirs['cpu_ms'] / ours['cpu_ms']:.1f}" if name != "relay" else ""
            lines.append(
                f"{what:26}{name:20}{theirs['delivered_rate']:12.0f}{faster:>10}{theirs['cpu_ms']:9.2f}{lighter:>10}"
                f"{theirs['accepted_rate']:12.0f}{1000 * theirs['final_reply_p99']:12.1f}"
            )
    return "\n".join(lines)


def parts_lines(found: list[Figures]) -> list[str]:
    """Return the CPU milliseconds a message of relay by thread and process, medians of the rounds, a line each load."""
    lines = []
    for load in dict.fromkeys(one.load for one in found if one.target == "relay"):
        rows = [one.cpu_parts for one in found if one.target == "relay" and one.load == load]
        parts = "   ".join(f"{name} {median(row[name] for row in rows):.2f}" for name in rows[0])
        lines.append(f"relay, {load.workload} ×{load.sessions}, CPU ms by part: {parts}")
    return lines


def _medians(found: list[Figures], name: str, load: Load) -> dict[str, float]:
    rows = [asdict(one) for one in found if one.target == name and one.load == load]
    return {key: median(row[key] for row in rows) for key in rows[0] if isinstance(rows[0][key], float)}


@click.command()
@click.option("--workloads", default="W1,W2,W3", show_default=True)
@click.option("--sessions", default=20, show_default=True)
@click.option("--messages", default=1500, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", default="", help="Names of targets, apart by commas.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench-results.json"), show_default=True)
def main(workloads: str, sessions: int, messages: int, rounds: int, only: str, out: Path) -> None:
    """Compare relay with Postfix and Postfix + OpenDKIM."""
    wanted = [kind for kind in (Relay, PostfixOpenDkim, Postfix) if not only or kind.name in only.split(",")]
    for kind in wanted:
        if kind.lacks():
            click.echo(f"{kind.name} is left out: {kind.lacks()}", err=True)
    targets = [kind for kind in wanted if not kind.lacks()]
    loads = [
        Load(name, sessions, messages if name != "W3" else max(messages // 3, 1), per_connection)
        for name in workloads.split(",")
        for per_connection in ((0, 1) if name == "W2" else (0,))
    ]
    found = compare(targets, loads, rounds)
    out.write_text(json.dumps([asdict(one) for one in found], indent=1))
    click.echo(table(found))
    for line in parts_lines(found):
        click.echo(line)
    signature = cpu.signature_ms()
    if signature is not None:
        click.echo(f"one RSA-2048 signature on this processor: {signature:.3f} CPU ms")
    click.echo(f"All figures: {out}")


if __name__ == "__main__":
    main()
