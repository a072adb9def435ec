"""Opens the store that the configuration names, or only its audit."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.log import Emit
from relay.storage.audit import AuditReader, kept_with_messages
from relay.storage.database import DriverConnection, Operation
from relay.storage.operations import read_transaction
from relay.storage.sqlite import schema
from relay.storage.sqlite.connection import SqliteLink
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store

T = TypeVar("T")

NO_PSYCOPG = 'storage.url: PostgreSQL needs psycopg: pip install "trackrelay[postgres]"'


async def open_store(
    settings: Settings, now: float, log: Emit, on_work: Callable[[], None], read_password: Callable[[], str] = str
) -> Store:
    """Open the store of `storage.url`. Raises StoreErrors that name the remedy.

    `on_work` is called when another node enqueued or returned work. `read_password` returns the password of the
    database that is configured now.
    """
    if settings.sqlite_path is not None:
        return await SqliteStore.open(settings.sqlite_path, now=now, log=log)
    try:
        from relay.storage.postgres.store import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError(NO_PSYCOPG) from error
    password = settings.storage.password.get_secret_value()
    return await PostgresStore.open(
        settings.storage.url,
        settings.server.data_dir,
        now=now,
        log=log,
        on_work=on_work,
        password=password,
        read_password=read_password,
    )


async def check_store(settings: Settings) -> None:
    """Try what `open_store` does with a PostgreSQL database, without changing it.

    Raises StoreErrors that name the remedy, after about ten seconds for a server that does not answer.
    """
    try:
        from relay.storage.postgres.check import check_database
        from relay.storage.postgres.connection import Target
    except ModuleNotFoundError as error:
        raise StoreError(NO_PSYCOPG) from error
    await check_database(Target(settings.storage.url, settings.storage.password.get_secret_value()))


class _ReadingDatabase:
    """Reads over one connection."""

    def __init__(self, link: DriverConnection) -> None:
        self._link = link

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, on one snapshot."""
        return await read_transaction(self._link, operation)


@asynccontextmanager
async def open_audit(settings: Settings) -> AsyncIterator[AuditReader]:
    """Open the store of `storage.url` for an audit, which only reads. A server may be running.

    Raises StoreErrors that name the remedy.
    """
    link: DriverConnection
    if settings.sqlite_path is not None:
        link, kept_since = SqliteLink(await schema.read(settings.sqlite_path), settings.sqlite_path), kept_with_messages
    else:
        try:
            from relay.storage.postgres import partitions
            from relay.storage.postgres.connection import PostgresLink, Target
        except ModuleNotFoundError as error:
            raise StoreError(NO_PSYCOPG) from error
        link = PostgresLink(Target(settings.storage.url, settings.storage.password.get_secret_value()))
        kept_since = partitions.kept_since

    try:
        yield AuditReader(_ReadingDatabase(link), kept_since)
    finally:
        await link.close()
