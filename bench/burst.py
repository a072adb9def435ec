"""Acceptance alone: `python -m bench.burst`. Deliveries are held, and clients send as fast as they get answers.

relay's provider is paused, Postfix defers its transports: neither tries to deliver.
"""

import subprocess
import sys
from itertools import product
from statistics import median

import click

from bench import cpu
from bench.instruments import Instrument, Load, instruments
from bench.targets import Postfix, PostfixOpenDkim, Relay, Target, free_port, signing_key

HELD = "defer_transports = smtp, relay\n"


class HoldingRelay(Relay):
    """relay with its provider paused by an operator."""

    def start(self) -> None:
        """See Target."""
        super().start()
        pause = ("site", "pause", "--provider", "sink", "-c", self.config)
        subprocess.run([sys.executable, "-m", "relay.cli", *pause], cwd=self.checkout, check=True, capture_output=True)


class HoldingPostfix(Postfix):
    """Postfix that queues and delivers nothing."""

    more = HELD


class HoldingPostfixOpenDkim(PostfixOpenDkim):
    """The same, signing through OpenDKIM."""

    more = HELD


def burst(target: Target, instrument: Instrument, load: Load) -> tuple[float, float, float]:
    """Send the load; return messages accepted a second, the p99 of the last 250 in ms, and CPU ms a message."""
    before = cpu.seconds(target.roots())
    sent = instrument.send(target.port, load)
    spent = cpu.seconds(target.roots()) - before
    return load.messages / (sent.last - sent.first), 1000 * sent.reply_p99, 1000 * spent / load.messages


@click.command()
@click.option("--messages", default=3000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--source", default="uvloop,C", show_default=True, help="Load sources, apart by commas.")
def main(messages: int, rounds: int, source: str) -> None:
    """Compare how fast relay, Postfix and Postfix + OpenDKIM take newsletters in."""
    kinds = [kind for kind in (HoldingRelay, HoldingPostfix, HoldingPostfixOpenDkim) if not kind.lacks()]
    key, sources = signing_key(), instruments(source)
    found: dict[tuple[str, int, str], list[tuple[float, float, float]]] = {}
    for number in range(rounds):
        for instrument, sessions in product(sources, (20, 100)):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                target = kind(free_port(), key)  # Nothing listens there: a provider that is down.
                try:
                    target.start()
                    burst(target, instrument, Load("W2", sessions, messages // 10))
                    one = burst(target, instrument, Load("W2", sessions, messages))
                    found.setdefault((instrument.name, sessions, kind.name), []).append(one)
                finally:
                    target.stop()
    for instrument in sources:
        instrument.close()
    click.echo(f"{'source':8}{'sessions':>8}  {'target':20}{'accepted/s':>12}{'250 p99 ms':>12}{'CPU ms':>9}")
    for (name_of_source, sessions, name), rows in found.items():
        rate, wait, spent = (median(column) for column in zip(*rows, strict=True))
        click.echo(f"{name_of_source:8}{sessions:8}  {name:20}{rate:12.0f}{wait:12.1f}{spent:9.2f}")


if __name__ == "__main__":
    main()
