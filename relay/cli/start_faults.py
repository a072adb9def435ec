"""What makes a start fail, for `relay config check` before it and `relay serve` after it."""

import errno
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import click

from relay.app.start_check import NEEDS_RIGHT, find_address_faults, find_data_faults
from relay.config import Settings
from relay.config.sources import read_sources

_DENIED = os.strerror(errno.EACCES)


def find_start_faults(
    settings: Settings, path: Path, own_ports: Collection[int] | None, *, is_server: bool
) -> Iterator[tuple[str, bool]]:
    """Yield each fault with the line of its key, and whether it is only what this user may not try.

    Without `is_server` another user than that of the server may run the program.
    """
    tree = read_sources(path, os.environ)
    for problem in (*find_data_faults(settings, path), *find_address_faults(settings, own_ports)):
        is_denied = problem.allowed == NEEDS_RIGHT or problem.problem.endswith(_DENIED)
        yield str(problem.at(tree.location(problem.path))), is_denied and not is_server and os.geteuid() != 0


def print_faults(faults: Iterable[tuple[str, bool]]) -> int:
    """Print the faults, as warnings what only this user may not try; return the number of the others."""
    count = 0
    for text, only_here in faults:
        click.echo(f"{'warning: ' if only_here else ''}{text}", err=True)
        count += not only_here
    return count


def print_start_faults(settings: Settings, path: Path) -> int:
    """Print why the start of the server failed; return the number of reasons."""
    return print_faults(find_start_faults(settings, path, (), is_server=True))
