"""`relay completion`: prints the script by which a shell completes commands and options."""

import sys

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script for the completion of SHELL. Load it in the start file of the shell.

    bash and zsh: eval "$(relay completion bash)". fish: relay completion fish | source.
    """
    from relay.cli import main  # Not at the top: it imports this module.

    found = get_completion_class(shell)
    if found is None:
        sys.exit(f"relay: click has no completion for {shell}")
    click.echo(found(main, {}, "relay", "_RELAY_COMPLETE").source())
