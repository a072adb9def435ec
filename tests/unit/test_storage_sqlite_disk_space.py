"""Space on the disk: new mail is refused before the mail already accepted has no room to be settled."""

import resource
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from relay.events.ports import StoreError
from relay.storage.sqlite import disk_space
from relay.storage.sqlite.disk_space import DiskSpace
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, accepted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "relay.db"
    path.write_bytes(bytes(1000))
    return path


@pytest.fixture
def limited() -> Iterator[int]:
    """A file size limit of 8 MB on this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))
    yield 8 << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_large_disk_takes_mail(file: Path) -> None:
    space = DiskSpace.at(file)
    assert 0 < space.reserve <= 64 << 20
    space.check(20_000)


def test_a_message_the_disk_cannot_hold_twice_is_refused(file: Path) -> None:
    with pytest.raises(StoreError, match="too little space for new mail") as refused:
        DiskSpace.at(file).check(1 << 50)
    assert refused.value.full


def test_messages_of_one_transaction_are_checked_together(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = DiskSpace.at(file)
    space.checkpoint_pages = 0
    measured: list[Path] = []

    def measure(path: Path) -> tuple[int, int]:
        measured.append(path)
        return 1 << 40, space.reserve + 1000

    monkeypatch.setattr(disk_space, "space_of", measure)
    space.check(500, 10, 500)
    assert len(measured) == 1
    with pytest.raises(StoreError):
        space.check(10, 501)
    assert space.is_full


def test_messages_of_one_transaction_share_the_pages_that_are_reusable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = DiskSpace.at(file)
    space.checkpoint_pages = 0
    monkeypatch.setattr(disk_space, "space_of", lambda _: (1 << 40, space.reserve))
    space.reusable = 1000
    space.check(100, 200)
    assert space.reusable == 700
    with pytest.raises(StoreError):
        space.check(250, 250)


def test_a_small_space_keeps_an_eighth_and_empties_its_log_early(file: Path, limited: int) -> None:
    space = DiskSpace.at(file)
    assert space.reserve == limited // 8
    assert space.checkpoint_pages == 64
    space.check(1000)
    with pytest.raises(StoreError):
        space.check(limited // 2)


def test_a_disk_at_its_reserve_is_full_until_clearly_more_is_free(file: Path, limited: int) -> None:
    space = DiskSpace.at(file)
    ease = space.reserve // 4

    def leave(free: int) -> None:
        """Let the database be so large that so many bytes beyond the reserve are left."""
        with file.open("r+b") as database:
            database.truncate(limited - space.reserve - free)

    leave(10_000)
    space.check_ease()
    with pytest.raises(StoreError):
        space.check(6_000)
    space.check(4_000)
    for free in (0, 10_000, ease, ease + 11_999):
        leave(free)
        with pytest.raises(StoreError, match="too little space") as refused:
            space.check_ease()
        assert refused.value.full
    leave(ease + 12_000)
    space.check_ease()
    leave(10_000)
    space.check_ease()


def test_space_that_a_quota_keeps_is_not_free_until_it_can_be_written(
    file: Path, limited: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk shows what is free for all; the quota of one user shows only when he writes."""
    space = DiskSpace.at(file)
    monkeypatch.setattr(disk_space, "space_of", lambda _: (1 << 40, 1 << 39))
    space.check_ease()
    space.refused(limited)
    with pytest.raises(StoreError, match="too large") as refused:
        space.check_ease()
    assert refused.value.full
    assert [one.name for one in file.parent.iterdir()] == ["relay.db"]

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * limited, hard))
    space.check_ease()
    assert not space.is_full
    assert [one.name for one in file.parent.iterdir()] == ["relay.db"]


async def test_the_store_counts_as_full_after_a_write_that_found_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    monkeypatch.setattr(disk_space, "space_of", lambda _: (1 << 40, 1 << 39))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    new = accepted("A", "u@x.test", content=Random(1).randbytes(3 << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, hard))
    try:
        with pytest.raises(StoreError) as refused:
            await store.queue.enqueue(new)
        assert refused.value.full
        for _ in range(2):
            with pytest.raises(StoreError, match="too large"):
                await store.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.check()
    await store.queue.enqueue(new)
    await store.close()
