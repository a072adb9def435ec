"""The command `relay demo`."""

import asyncio
import sys

import click

from relay.cli.demo.walkthrough import run_demo


@click.command()
@click.option("--keep", is_flag=True, help="Keep the servers running, to try an application with them.")
def demo(keep: bool) -> None:
    """Send a newsletter and an invoice through the relay, and show the result.

    Relay, name server, receiving server and reader run on loopback. No mail leaves this machine, and all files are
    removed at the end.
    """
    try:
        sys.exit(asyncio.run(run_demo(click.echo, keep=keep)))
    except KeyboardInterrupt:
        click.echo("\nstopped")
