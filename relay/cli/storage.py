"""`relay storage`: shows the store, and copies SQLite to PostgreSQL."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.common import EX_CONFIG, EX_TEMPFAIL, EX_UNAVAILABLE, config_option, json_option, settings_or_exit
from relay.cli.progress import with_progress
from relay.clock import system_clock
from relay.config import Settings
from relay.config.masking import mask_url
from relay.config.parsers import postgres_url_fault
from relay.delivery.delivery_journal import JOURNAL_FILE, read_records
from relay.events.ports import StoreError
from relay.storage.errors import StoreLockedError
from relay.storage.sqlite.export import SqliteExport
from relay.storage.sqlite.stats import StoreStats, survey_sqlite

if TYPE_CHECKING:
    from relay.storage.postgres.connection import Target
    from relay.storage.postgres.import_sqlite import SqliteImport


_POSTGRES = ("postgresql://", "postgres://")

_NO_PSYCOPG = 'PostgreSQL needs psycopg: pip install "trackrelay[postgres]"'

_LINES = 10
"""Progress lines of a copy without a terminal, besides the first and the last."""


@click.group()
def storage() -> None:
    """Show the store, or copy it to PostgreSQL."""


@storage.command("check")
@config_option
@json_option
def check_command(path: Path, as_json: bool) -> None:
    """Show the store: database, version, schema, size, rows of each table. The server may be running."""
    settings = settings_or_exit(path)
    with _exit_on_error():
        found = _survey(settings)
    if as_json:
        click.echo(json.dumps({**found.head(), "rows": dict(found.rows)}))
        return
    for key, value in {**found.head(), **{f"rows of {name}": count for name, count in found.rows.items()}}.items():
        click.echo(f"{key:<24} {value}")


@storage.command("migrate")
@click.option("--to", "url", required=True, metavar="URL", help="postgresql://user@host/database; it must be empty.")
@click.option("--anew", is_flag=True, help="Delete the rows of an unfinished copy, and start again.")
@click.option(
    "--batch", default=5000, show_default=True, type=click.IntRange(1, 100_000), help="Rows in one transaction."
)
@config_option
def migrate_command(url: str, anew: bool, batch: int, path: Path) -> None:
    """Copy the SQLite store of a stopped relay, queue included, into an empty PostgreSQL database.

    An interrupted copy continues when the command is run again. The SQLite file is not changed.
    """
    if not url.startswith(_POSTGRES):
        raise click.UsageError("--to is not the URL of a PostgreSQL database; use postgresql://user@host/database")
    if fault := postgres_url_fault(url):
        raise click.UsageError(f"--to {fault}")
    settings = settings_or_exit(path)
    if settings.sqlite_path is None:
        click.echo("relay: storage.url is PostgreSQL already; there is nothing to copy", err=True)
        sys.exit(EX_CONFIG)

    with _exit_on_error(), closing(SqliteExport.open(settings.sqlite_path)) as source:
        _refuse_unsettled(source, settings.server.data_dir / JOURNAL_FILE)
        with closing(_transfer(source, settings, url, anew=anew, batch=batch)) as transfer:
            if transfer.done:
                click.echo("all rows were copied before")
            else:
                _run(transfer)

    click.echo(_NEXT.format(url=mask_url(url), file=settings.sqlite_path.name, config=path))


_NEXT = """\
Now, in {config}:

    [storage]
    url = "{url}"

and start the relay. Never start a relay on {file} again: it would deliver the queued mail a second time. Keep the
file as a backup. Other machines need the same url, and a data_dir of their own with a copy of the keys (dkim/,
tracker.key)."""


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """Print an error of the store, and exit with its code."""
    try:
        yield
    except StoreLockedError as error:
        click.echo(f"relay: {error}", err=True)
        sys.exit(EX_TEMPFAIL)
    except StoreError as error:
        click.echo(f"relay: {error}", err=True)
        sys.exit(EX_UNAVAILABLE)


def _survey(settings: Settings) -> StoreStats:
    if settings.sqlite_path is not None:
        return survey_sqlite(settings.sqlite_path, _counting)
    try:
        from relay.storage.postgres.stats import survey_postgres
    except ModuleNotFoundError:
        raise StoreError(_NO_PSYCOPG) from None
    return survey_postgres(_target(settings.storage.url, settings), mask_url(settings.storage.url), _counting)


def _counting(tables: Sequence[str]) -> Iterator[str]:
    return with_progress(tables, "counting")


def _transfer(source: SqliteExport, settings: Settings, url: str, *, anew: bool, batch: int) -> "SqliteImport":
    try:
        from relay.storage.postgres.import_sqlite import SqliteImport
    except ModuleNotFoundError:
        raise StoreError(_NO_PSYCOPG) from None
    return SqliteImport.open(source, _target(url, settings), system_clock(), anew=anew, batch=batch)


def _target(url: str, settings: Settings) -> "Target":
    from relay.storage.postgres.connection import Target

    return Target(url, settings.storage.password.get_secret_value())


def _refuse_unsettled(source: SqliteExport, journal: Path) -> None:
    """Raise StoreError if a killed server left deliveries that only its next start on this store can settle."""
    records = list(read_records(journal.read_bytes())) if journal.exists() else []
    unsettled = {(record.queue_id, number) for record in records for number in record.numbers} & source.active()
    if unsettled:
        raise StoreError(
            f"the relay was killed, and the delivery to {len(unsettled)} recipients is not recorded yet: "
            "start it once more on SQLite and stop it, so that they get no duplicates; then copy"
        )


def _run(transfer: "SqliteImport") -> None:
    """Copy with a progress bar on a terminal, else with a few lines."""
    total, before = sum(transfer.counts.values()), sum(transfer.copied.values())
    if before:
        click.echo(f"continuing the last run: {before} of {total} rows are copied")

    if sys.stderr.isatty():
        with click.progressbar(length=total, label="copying", show_pos=True, file=sys.stderr) as bar:
            bar.update(before)
            for _, rows in transfer.run():
                bar.update(rows)
    else:
        copied, shown = before, before * _LINES // max(total, 1)
        for table, rows in transfer.run():
            copied += rows
            if (now := copied * _LINES // total) > shown:
                shown = now
                click.echo(f"{copied} of {total} rows, {table}")

    counts = ", ".join(f"{count} {name}" for name, count in transfer.counts.items() if count)
    click.echo(f"copied and counted: {counts or 'nothing, the store is empty'}")
