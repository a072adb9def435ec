"""Where the CPU time of a message goes, by stage: `python -m bench.profile`.

Samples the stacks of the server and of its renderers (bench/sampler) while mail runs, and counts each sample for the
room of relay its innermost frame belongs to. Threads of the store are measured apart, by the kernel.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

import relay as package
from bench import cpu
from bench.instruments import Load, UvloopInstrument
from bench.mail import measure
from bench.targets import Relay, signing_key

ROOT = Path(package.__file__).parent

SAMPLER = Path(__file__).parent / "sampler"

STAGES = {
    "smtp": "SMTP in",
    "smtp_in": "SMTP in",
    "submission": "accept",
    "policy": "accept",
    "limits": "accept",
    "suppression": "accept",
    "storage": "store, event loop's side",
    "queue": "queue",
    "render/pool": "to the renderer and back",
    "render/process": "to the renderer and back",
    "render/frames": "to the renderer and back",
    "render/worker": "to the renderer and back",
    "render": "rewrite",
    "rewrite": "rewrite",
    "mailauth": "sign",
    "delivery": "deliver",
    "events": "events, log, metrics",
    "app/observer": "events, log, metrics",
    "log": "events, log, metrics",
    "metrics": "events, log, metrics",
}
"""The stage of each package, or of one module of it. The time of `mail` and `config` counts for their caller."""

LOOP = "event loop and system calls"

START = "start"


def stage(stack: str) -> str:
    """Return the stage of a stack: the innermost frame of a room that has one decides."""
    if "importlib" in stack:
        return START
    for frame in reversed(stack.split(";")):
        path = Path(frame.rpartition(":")[0])
        if path.is_relative_to(ROOT):
            parts = path.relative_to(ROOT).with_suffix("").parts
            for room in ("/".join(parts[:2]), parts[0]):
                if room in STAGES:
                    return STAGES[room]
    return LOOP


def read(folder: Path) -> Counter[str]:
    """Return the samples of all processes by stage."""
    found: Counter[str] = Counter()
    for file in folder.iterdir():
        for line in file.read_text().splitlines()[1:]:
            count, _, stack = line.partition("\t")
            found[stage(stack)] += int(count)
    del found[START]
    return found


@click.command()
@click.option("--workload", default="W2", show_default=True)
@click.option("--messages", default=6000, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(workload: str, messages: int, out: Path | None) -> None:
    """Print CPU milliseconds a message by stage."""
    with tempfile.TemporaryDirectory() as samples:
        sink = UvloopInstrument()
        relay = Relay(sink.port, signing_key())
        relay.environment = {"RELAY_SAMPLES": samples, "PYTHONPATH": f"{SAMPLER}:{ROOT.parent}"}
        try:
            relay.start()
            (pid,) = relay.roots()
            before, store_before, server_before = cpu.seconds([pid]), cpu.other_threads(pid), cpu.own_seconds(pid)
            figures = measure(relay, sink, Load(workload, 20, messages))
            total = 1000 * (cpu.seconds([pid]) - before) / messages
            store = 1000 * (cpu.other_threads(pid) - store_before) / messages
            server = 1000 * (cpu.own_seconds(pid) - server_before) / messages
        finally:
            relay.stop()
            sink.close()
        sampled = read(Path(samples))
    # Samples are taken in the main thread whichever thread used the time; the store's own is known and left out.
    scale = (total - store) / (sampled.total() or 1)
    stages = {"store, its thread": store, **{name: count * scale for name, count in sampled.items()}}
    click.echo(f"{workload}: {figures.delivered_rate:.0f} messages/s, {total:.2f} CPU ms a message")
    for name, value in sorted(stages.items(), key=lambda item: -item[1]):
        click.echo(f"  {value:6.3f} ms {100 * value / total:5.1f} %  {name}")
    longest = max(server, total - server)
    click.echo(f"  by process: server {server:.2f} ms, renderer {total - server:.2f} ms")
    click.echo(f"  so one core does {1000 / total:.0f} a second, two that nothing else uses {1000 / longest:.0f}")
    floor = cpu.signature_ms()
    if floor:
        click.echo(f"  {floor:6.3f} ms          one RSA-2048 signature by `openssl speed`, the floor of “sign”")
    if out:
        out.write_text(json.dumps({"total": total, "stages": stages, "signature": floor}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
