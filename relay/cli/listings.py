"""Listings that are read page by page: cut at a number of rows, which is said, or whole with --all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from relay.cli.client import AdminClient

MAX_ROWS = 1000
"""Rows of a listing without --all."""

all_option = click.option("--all", "everything", is_flag=True, help=f"All, not only {MAX_ROWS}.")


@dataclass(frozen=True, slots=True)
class Listing:
    """A route whose response has rows under `key`, and under `next` the `cursor` of the page after it.

    `order` is the word for the rows that come first.
    """

    route: str
    key: str
    cursor: str = "before"
    order: str = "newest"

    def rows(
        self, client: AdminClient, query: Mapping[str, str | Sequence[str]], most: int | None = MAX_ROWS
    ) -> Iterator[Any]:
        """Yield the rows. After `most` of them warn that there are more, and end; None has no end."""
        following, shown = "", 0
        while True:
            page = client.get(self.route, {**query, self.cursor: following} if following else query)
            for one in page[self.key]:
                if shown == most:
                    click.echo(
                        f"relay: only the {self.order} {shown} are shown, and there are more; --all shows all", err=True
                    )
                    return
                shown += 1
                yield one

            following = page["next"] or ""
            if not following:
                return


def warn_if_cut(shown: int, total: int, what: str) -> None:
    """Print a warning if a list of a report is cut."""
    if shown < total:
        click.echo(f"relay: only {shown} of {total} {what} are shown; --all shows all", err=True)
