"""Progress bars: on standard error, and only on a terminal, so that output and logs stay as they are."""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

import click

T = TypeVar("T")


def with_progress(items: Iterable[T], label: str) -> Iterator[T]:
    """Yield the items, with a bar of their number; with a count alone if it is not known."""
    if not sys.stderr.isatty():
        yield from items
        return
    known = len(items) if isinstance(items, Sized) else None
    with click.progressbar(items, length=known, label=label, show_pos=True, file=sys.stderr) as bar:
        yield from bar
