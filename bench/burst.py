"""Acceptance alone: `python -m bench.burst`. Deliveries are held, and clients send as fast as they get answers."""

import json
import subprocess
import sys
from dataclasses import asdict
from statistics import median

import click

from bench import cpu
from bench.mail import Load, quantile
from bench.targets import Postfix, PostfixOpenDkim, Relay, Target, free_port, signing_key

HELD = "defer_transports = smtp, relay\n"


class HoldingPostfix(Postfix):
    """Postfix that queues and delivers nothing."""

    more = HELD


class HoldingPostfixOpenDkim(PostfixOpenDkim):
    """The same, signing through OpenDKIM."""

    more = HELD


def burst(target: Target, load: Load) -> tuple[float, float, float]:
    """Send the load; return messages accepted a second, the p99 of the last 250 in ms, and CPU ms a message."""
    before = cpu.seconds(target.roots())
    plan = json.dumps({"port": target.port, **asdict(load)})
    sent = json.loads(
        subprocess.run([sys.executable, "-m", "bench.source", plan], check=True, stdout=subprocess.PIPE).stdout
    )
    spent = cpu.seconds(target.roots()) - before
    rate = load.messages / (sent["last"] - sent["first"])
    return rate, 1000 * quantile(sent["waits"], 0.99), 1000 * spent / load.messages


@click.command()
@click.option("--messages", default=3000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(messages: int, rounds: int) -> None:
    """Compare how fast relay, Postfix and Postfix + OpenDKIM take newsletters in."""
    kinds = [kind for kind in (Relay, HoldingPostfix, HoldingPostfixOpenDkim) if not kind.lacks()]
    key = signing_key()
    found: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    for number in range(rounds):
        for sessions in (20, 100):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                target = kind(free_port(), key)  # Nothing listens there: a provider that is down.
                try:
                    target.start()
                    burst(target, Load("W2", sessions, messages // 10))
                    found.setdefault((sessions, kind.name), []).append(burst(target, Load("W2", sessions, messages)))
                finally:
                    target.stop()
    click.echo(f"{'sessions':>8}  {'target':20}{'accepted/s':>12}{'250 p99 ms':>12}{'CPU ms':>9}")
    for (sessions, name), rows in found.items():
        rate, wait, spent = (median(column) for column in zip(*rows, strict=True))
        click.echo(f"{sessions:8}  {name:20}{rate:12.0f}{wait:12.1f}{spent:9.2f}")


if __name__ == "__main__":
    main()
