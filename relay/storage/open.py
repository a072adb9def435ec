"""Opens the store that the configuration names."""

from collections.abc import Callable

from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.log import Emit
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store


async def open_store(settings: Settings, now: float, log: Emit, on_work: Callable[[], None]) -> Store:
    """Open the store of `storage.url`. Raises StoreErrors that name the remedy.

    `on_work` is called when another node enqueued or returned work.
    """
    if settings.sqlite_path is not None:
        return await SqliteStore.open(settings.sqlite_path, now=now)
    try:
        from relay.storage.postgres.store import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError('storage.url: PostgreSQL needs psycopg: pip install "trackrelay[postgres]"') from error
    password = settings.storage.password.get_secret_value()
    return await PostgresStore.open(
        settings.storage.url, settings.server.data_dir, now=now, log=log, on_work=on_work, password=password
    )
