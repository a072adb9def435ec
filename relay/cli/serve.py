"""`relay serve` and `relay tracker`: run until a signal, with notifications to systemd."""

import asyncio
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from relay.app.data_dir import prepare_node_dir
from relay.app.relay import App
from relay.cli.common import EX_CONFIG, EX_UNAVAILABLE, config_option, settings_or_exit
from relay.cli.dev import dev_options, open_dev_settings
from relay.cli.sd_notify import sd_notify
from relay.cli.serve_nodes import MAX_NODES, refuse_sqlite, run_nodes
from relay.cli.signals import SignalHandler
from relay.cli.start_faults import print_start_faults
from relay.cli.startup import no_collection
from relay.cli.watchdog import interval, keep_alive
from relay.config import Settings
from relay.config.certificates import CertificateError
from relay.config.node_settings import settings_of_node
from relay.dsn.bounce_rules import RulesError
from relay.events.ports import StoreError
from relay.events.spool import SpoolError
from relay.mailauth.dkim_keys import KeyFaultError
from relay.malloc import return_large_blocks
from relay.storage.errors import AwayError

if TYPE_CHECKING:
    from relay.app.tracker import TrackerApp

GC_THRESHOLD = 20_000
"""Objects that are made before the youngest are searched for garbage. With 700 the tracker took a fifth more time."""


@click.command()
@config_option
@click.option("--nodes", default=1, show_default=True, type=click.IntRange(1, MAX_NODES), help="Processes to run.")
@click.option("--node", default=0, type=click.IntRange(0, MAX_NODES), help="Run only this node, counted from 1.")
@click.option("--dev", is_flag=True, help="Run a relay to develop against, without a configuration.")
@dev_options
@click.option("--end-with-parent", is_flag=True, hidden=True)
def serve(path: Path, nodes: int, node: int, dev: bool, end_with_parent: bool, **dev_values: Any) -> None:
    """Run the server until SIGTERM or SIGINT; SIGHUP reloads the configuration, SIGUSR1 reopens the log.

    After the first signal transactions in progress may end. A second signal exits immediately.

    With --nodes each node is a process of its own. They share the ports. One that ends is started again. --node is for
    service managers that start each node by itself. The first one makes the keys and the schema.

    With --dev it listens on loopback, takes any login, and sends nothing anywhere. The mails are at
    http://127.0.0.1:8025, with their links, checks and words of the simulator.
    """
    if dev:
        with open_dev_settings(**dev_values) as development:
            made = partial(App, development)
            sys.exit(run(development, lambda: serve_until_signal(made, end_with_parent=end_with_parent)))
    settings = settings_or_exit(path, warn=node <= 1)
    if nodes > 1 or node:
        refuse_sqlite(settings, f"--nodes {nodes}" if nodes > 1 else f"--node {node}")
        _prepare(settings, node or 1)
    if nodes > 1:
        sys.exit(run_nodes(settings, path, nodes))
    in_force = settings_of_node(settings, node) if node else settings
    make = partial(App, settings, path, node=node)
    sys.exit(
        run(settings, lambda: serve_until_signal(make, partial(print_start_faults, in_force, path), end_with_parent))
    )


def _prepare(settings: Settings, node: int) -> None:
    try:
        prepare_node_dir(settings.server, node)
    except OSError as error:
        click.echo(f"relay: cannot start: {error}", err=True)
        sys.exit(EX_UNAVAILABLE)


def run_tracker(path: Path) -> NoReturn:
    """Run only the tracker until a signal, and exit."""
    settings = settings_or_exit(path)
    if not settings.tracker.address:
        click.echo("relay: tracker.address is empty; set it to run the tracker", err=True)
        sys.exit(EX_CONFIG)
    from relay.app.tracker import (
        TrackerApp,  # Not at the top: it loads HTTP, for which the start of mail need not wait.
    )

    sys.exit(run(settings, lambda: serve_until_signal(lambda: TrackerApp(settings, path))))


def run(settings: Settings, main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run the coroutine on uvloop if configured and installed, else on asyncio; return its exit code."""
    return_large_blocks()
    if settings.server.event_loop != "asyncio":
        try:
            import uvloop
        except ImportError:
            if settings.server.event_loop == "uvloop":
                click.echo('relay: server.event_loop is "uvloop", which is not installed', err=True)
                return EX_CONFIG
        else:
            return uvloop.run(main())
    return asyncio.run(main())


async def serve_until_signal(
    make: Callable[[], "App | TrackerApp"], print_faults: Callable[[], int] = int, end_with_parent: bool = False
) -> int:
    """Build, start, wait for a signal, stop; return the exit code.

    `print_faults` prints why a start failed, as `relay config check` does, and returns the number of reasons. With
    `end_with_parent` the end of the parent process counts as SIGTERM.
    """
    os.umask(0o077)
    signals = SignalHandler()
    signals.listen()
    if end_with_parent:
        _listen_to_parent()
    app = await _unless_stopped(start_app(make, print_faults, signals), signals)
    if isinstance(app, int):
        return app

    signals.begin_reloads()
    sd_notify("READY=1")
    every = interval()
    watchdog = asyncio.create_task(keep_alive(every), name="watchdog") if every else None

    broken = asyncio.ensure_future(app.broken.wait())
    stopping = asyncio.ensure_future(signals.stop_requested.wait())
    await asyncio.wait((stopping, broken), return_when=asyncio.FIRST_COMPLETED)

    sd_notify("STOPPING=1")
    failed = app.broken.is_set()
    for task in (stopping, broken):
        task.cancel()
    # While it stops, TimeoutStopSec counts; the signs of life go on, because a busy stop is no hang.
    await app.stop()
    if watchdog is not None:
        watchdog.cancel()
    return EX_UNAVAILABLE if failed else 0


async def _unless_stopped(
    start: Coroutine[Any, Any, "App | TrackerApp | int"], signals: SignalHandler
) -> "App | TrackerApp | int":
    """Return the started app or the exit code. A start that a signal ends is cancelled, which closes what is open."""
    starting = asyncio.ensure_future(start)
    stopping = asyncio.ensure_future(signals.stop_requested.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
    return 0 if starting.cancelled() else starting.result()


async def start_app(
    make: Callable[[], "App | TrackerApp"], print_faults: Callable[[], int], signals: SignalHandler
) -> "App | TrackerApp | int":
    """Return the started app; or print the reasons and return the exit code."""
    try:
        with no_collection():
            app = make()
            signals.use(app)
            await app.start()
            # Objects of the start live as long as the process: to examine them in each collection would delay mail.
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD)
    except (RulesError, CertificateError, KeyFaultError, StoreError, SpoolError, OSError) as error:
        if await asyncio.to_thread(print_faults):
            return EX_UNAVAILABLE if _may_pass(error) else EX_CONFIG
        click.echo(f"relay: {'cannot start: ' if isinstance(error, OSError) else ''}{error}", err=True)
        return EX_CONFIG if isinstance(error, (RulesError, CertificateError, KeyFaultError)) else EX_UNAVAILABLE
    return app


def _may_pass(error: Exception) -> bool:
    """Whether a later start may succeed with the same configuration: without its database server, or on a full disk."""
    return isinstance(error, AwayError) or getattr(error, "errno", 0) in (errno.EROFS, errno.ENOSPC)


def _listen_to_parent() -> None:
    """Stop when the process that runs the nodes has ended: its end closes the pipe at standard input."""
    loop = asyncio.get_running_loop()

    def on_end() -> None:
        loop.remove_reader(sys.stdin.fileno())
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sys.stdin.fileno(), on_end)
