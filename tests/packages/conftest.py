"""These tests take minutes and need root, debootstrap and the network: `make packages` runs them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.clean_root import CleanRoot, base_root

collect_ignore_glob = [] if os.environ.get("RELAY_TEST_PACKAGES") else ["test_*.py"]


@pytest.fixture(scope="session")
def bookworm() -> Path:
    """A bare Debian 12, which no test changes."""
    return base_root("bookworm")


@pytest.fixture
def root(bookworm: Path) -> Iterator[CleanRoot]:
    """A bare Debian 12 of its own."""
    with CleanRoot(bookworm) as made:
        yield made
