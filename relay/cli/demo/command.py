"""`relay demo`: see the main job with nothing to configure."""

import asyncio
import sys

import click

from relay.cli.demo.walkthrough import tell


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running, to point an application at it.")
def demo(keep: bool) -> None:
    """Send a newsletter and an invoice through the relay and show what becomes of them.

    Everything runs on loopback: the relay, a name server, the receiving server and a reader. Nothing is delivered
    outside, and nothing stays behind.
    """
    try:
        sys.exit(asyncio.run(tell(click.echo, keep=keep)))
    except KeyboardInterrupt:
        click.echo("\nstopped")
