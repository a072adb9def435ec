"""What several folders of tests share."""

import gc
import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from relay.storage.postgres.connection import Target
from relay.storage.postgres.schema import prepare
from tests.servers.postgres import PostgresServer, delete_rows, drop_schema, fresh_schema

# Hypothesis fails an example that takes 200 ms, which any does on a busy machine. `make fuzz` tries more examples.
settings.register_profile("relay", deadline=None, max_examples=int(os.environ.get("RELAY_TEST_EXAMPLES", "25")))
settings.load_profile("relay")


def pytest_configure() -> None:
    """Pause garbage collection: what the collection of tests makes lives as long as the process."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from now on, but not among the tests and their modules, which no collection needs to look at."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test-reversed`: what a test needs, an earlier one must not have done. Workers share out modules too."""
    if os.environ.get("RELAY_TEST_ORDER") == "reversed":
        items.reverse()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A log that a test opened must not get the libraries' warnings of the next test: its stream is closed by then."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: the one RELAY_TEST_POSTGRES names, else one of our own for each test process."""
    if named := os.environ.get("RELAY_TEST_POSTGRES"):
        yield named
        return
    server = PostgresServer()
    yield server.url
    server.close()


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty schema."""
    url = fresh_schema(postgres_server)
    yield url
    drop_schema(url)


@pytest.fixture(scope="session")
def _tables(postgres_server: str) -> Iterator[str]:
    url = fresh_schema(postgres_server)
    prepare(Target(url))
    yield url
    drop_schema(url)


@pytest.fixture
def tables(_tables: str) -> str:
    """The URL of a schema with the tables of relay, which are empty."""
    delete_rows(_tables)
    return _tables
