"""The command `relay`. Each command has its own module, which is imported when the command is called."""

import os
import sys
from importlib import import_module
from typing import Any

import click

import relay
from relay.cli.output import handled_output, prepare_streams, report_unexpected
from relay.cli.startup import no_collection

click.UsageError.exit_code = os.EX_USAGE
"""Exit code of a wrong command line. Not from `relay.cli.common`, which imports the settings."""

COMMANDS = {
    "serve": "relay.cli.serve:serve",
    "tracker": "relay.cli.tracker:tracker",
    "init": "relay.cli.init:init",
    "doctor": "relay.cli.doctor:doctor",
    "demo": "relay.cli.demo.command:demo",
    "config": "relay.cli.config:config",
    "completion": "relay.cli.completion:completion",
    "share": "relay.cli.share:share",
    "queue": "relay.cli.queue:queue",
    "mailq": "relay.cli.mailq:mailq",
    "sendmail": "relay.cli.sendmail:sendmail",
    "trace": "relay.cli.status:trace",
    "events": "relay.cli.events:events",
    "webhook": "relay.cli.webhook:webhook",
    "provider": "relay.cli.provider:provider",
    "site": "relay.cli.site:site",
    "why": "relay.cli.why:why",
    "send-test": "relay.cli.send_test:send_test",
    "suppression": "relay.cli.suppression:suppression",
    "unsubscribe": "relay.cli.unsubscribe:unsubscribe",
    "report": "relay.cli.report:report",
    "status": "relay.cli.status:status",
    "top": "relay.cli.top:top",
    "nodes": "relay.cli.status:nodes",
    "audit": "relay.cli.audit:audit",
    "storage": "relay.cli.storage:storage",
    "preview": "relay.cli.preview:preview",
    "explain": "relay.cli.explain:explain",
    "classify": "relay.cli.classify:classify",
    "domain": "relay.cli.domain:domain",
    "identity": "relay.cli.identity:identity",
    "imap": "relay.cli.imap:imap",
    "dkim": "relay.cli.dkim:dkim",
    "credential": "relay.cli.credential:credential",
    "person": "relay.cli.person:person",
    "oauth": "relay.cli.oauth:oauth",
}
"""Module and name of each command, in the order of `relay --help`."""


class _Commands(click.Group):
    """A group that imports its commands on demand, so that `relay trace` does not load the server."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command with usable standard streams. What it does not expect is one line and an exit code."""
        embedded, stderr = sys.stdout is not sys.__stdout__, sys.stderr
        if not embedded:
            sys.excepthook = report_unexpected
        prepare_streams()
        try:
            with handled_output():
                return super().main(*args, **extra)
        finally:
            if embedded:
                sys.stderr = stderr

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the arguments. Help is written here, and click would end with 1 if its reader ends."""
        with handled_output():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with handled_output():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        with no_collection():
            command: click.Command = getattr(import_module(module), name)
        return command


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    # Not click's version_option, which needs the version at import: looking it up takes 20 ms of each start.
    if wanted and not ctx.resilient_parsing:
        click.echo(f"relay, version {relay.__version__}")
        ctx.exit()


@click.group(cls=_Commands)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """relay: an SMTP relay that tracks, signs, limits and retries mail, and records the timeline of each message."""
