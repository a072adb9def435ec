"""These tests take minutes and need root, debootstrap and the network: `make packages` runs them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.checkout import build_sdist, build_wheel, tracked_files
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


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git has, without what was built among them."""
    return tracked_files(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    return build_sdist(checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, with compiled code for the Python that runs the tests."""
    return build_wheel(checkout, tmp_path_factory.mktemp("wheel"))
