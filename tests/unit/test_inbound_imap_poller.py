"""The poller's order: a mail that always fails holds up nobody, and is looked at again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from relay.config.settings import Bounces, Imap, Settings
from relay.events.ports import StoreError
from relay.inbound import imap_poller as room
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_mailbox import FolderState, HalfMovedError
from relay.inbound.imap_poller import TRIES, Poller
from relay.inbound.imap_state import MAX_MISSED, MailboxPosition, mailbox_name, read_position, write_position
from relay.inbound.mail_effects import ProcessResult
from relay.metrics import Metrics
from tests.servers.waiting import PATIENCE
from tests.unit.oauth_parts import NoTokens

ACCOUNT = Imap(host="imap.acme.test", username="b", password=SecretStr("x"))


class Folder:
    """A mailbox in memory. `broken`: UIDs the server cannot hand out. `refusals`: what marks raise, by UID."""

    def __init__(self, *uids: int) -> None:
        self.uids = list(uids)
        self.broken: set[int] = set()
        self.refusals: dict[int, BaseException] = {}
        self.marked: list[int] = []
        self.read_only = False

    def __call__(self, imap: Imap) -> "Folder":
        return self

    def open(self, token: str = "") -> None:
        pass

    def select(self) -> FolderState:
        return FolderState(7, len(self.uids), max(self.uids, default=0) + 1)

    def existing(self, uids: Sequence[int]) -> frozenset[int]:
        return frozenset(uids) & frozenset(self.uids)

    def uids_after(self, last: int, count: int) -> Sequence[int]:
        return [uid for uid in self.uids if uid > last]

    def prepare(self) -> None:
        pass

    def fetch(self, uid: int) -> bytes | None:
        if uid in self.broken:
            raise MailboxError(f"fetch of UID {uid} failed")
        return b"%d" % uid if uid in self.uids else None

    def mark(self, uid: int) -> None:
        if uid in self.refusals:
            raise self.refusals[uid]
        self.marked.append(uid)

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class RecordingProcessor:
    """Takes mail, and keeps what was taken and logged. `faults`: what is raised for a mail."""

    def __init__(self, result: ProcessResult | None = None) -> None:
        self.result = result or ProcessResult("other", joined=False)
        self.taken: list[int] = []
        self.faults: dict[int, Exception] = {}
        self.lines: list[tuple[str, Any]] = []

    async def take(self, content: bytes) -> ProcessResult:
        if int(content) in self.faults:
            raise self.faults[int(content)]
        self.taken.append(int(content))
        return self.result

    def log(self, event: str, /, **fields: object) -> None:
        self.lines.append((event, fields.get("uid")))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Folder:
    found = Folder(1, 2, 3)
    monkeypatch.setattr(room, "Mailbox", found)
    return found


def poller(processor: RecordingProcessor, position_file: Path) -> Poller:
    return Poller(Settings, position_file, processor.take, processor.log, NoTokens(), Metrics())


async def test_a_mail_that_cannot_be_fetched_is_stepped_over_and_taken_later(folder: Folder, tmp_path: Path) -> None:
    processor, position_file = RecordingProcessor(), tmp_path / "imap.json"
    polling = poller(processor, position_file)
    folder.broken = {2}
    for _ in range(TRIES):
        with pytest.raises(MailboxError):
            await polling.read(ACCOUNT)
    assert processor.taken == [1]
    await polling.read(ACCOUNT)
    assert processor.taken == [1, 3]
    assert ("imap.skipped", 2) in processor.lines
    kept = read_position(position_file)
    assert kept is not None
    assert (kept.uid, kept.missed) == (3, (2,))
    await polling.read(ACCOUNT)
    assert processor.taken == [1, 3], "not before an hour is over"
    folder.broken = set()
    again = poller(processor, position_file)
    await again.read(ACCOUNT)
    assert processor.taken == [1, 3, 2]
    kept = read_position(position_file)
    assert kept is not None
    assert (kept.uid, kept.missed) == (3, ())


async def test_a_mail_that_raises_what_nobody_expects_is_stepped_over(folder: Folder, tmp_path: Path) -> None:
    processor = RecordingProcessor()
    polling = poller(processor, tmp_path / "imap.json")
    processor.faults = {1: ZeroDivisionError()}
    for _ in range(TRIES):
        with pytest.raises(ZeroDivisionError):
            await polling.read(ACCOUNT)
    await polling.read(ACCOUNT)
    assert processor.taken == [2, 3]


async def test_a_store_that_is_away_is_no_fault_of_the_mail(folder: Folder, tmp_path: Path) -> None:
    processor = RecordingProcessor()
    polling = poller(processor, tmp_path / "imap.json")
    processor.faults = {1: StoreError("away")}
    for _ in range(3 * TRIES):
        with pytest.raises(StoreError):
            await polling.read(ACCOUNT)
    processor.faults = {}
    await polling.read(ACCOUNT)
    assert processor.taken == [1, 2, 3]


async def test_a_missed_mail_that_is_gone_is_forgotten(folder: Folder, tmp_path: Path) -> None:
    processor, position_file = RecordingProcessor(), tmp_path / "imap.json"
    name = mailbox_name(ACCOUNT)
    folder.uids = [1, 3]
    write_position(position_file, MailboxPosition(name, 7, 3, (2,)))
    await poller(processor, position_file).read(ACCOUNT)
    assert read_position(position_file) == MailboxPosition(name, 7, 3)


def test_places_written_before_there_were_missed_mails_are_read(tmp_path: Path) -> None:
    (tmp_path / "imap.json").write_text('{"mailbox": "m", "uidvalidity": 7, "uid": 3}')
    assert read_position(tmp_path / "imap.json") == MailboxPosition("m", 7, 3)


def test_missed_mails_are_bounded() -> None:
    position_file = MailboxPosition("m", 7, 0)
    for uid in range(1, MAX_MISSED + 10):
        position_file = position_file.skipped(uid)
    assert len(position_file.missed) == MAX_MISSED
    assert position_file.missed[-1] == position_file.uid
    for uid in range(1, MAX_MISSED + 10):
        position_file = position_file.taken(uid, mark=True)
    assert len(position_file.unmarked) == MAX_MISSED


def unmarked(file: Path) -> tuple[int, ...]:
    position = read_position(file)
    assert position is not None
    return position.unmarked


async def test_a_mark_that_fails_delays_no_mail_and_is_tried_again_in_the_next_round(
    folder: Folder, tmp_path: Path
) -> None:
    processor, file = RecordingProcessor(ProcessResult("bounce", joined=True)), tmp_path / "imap.json"
    polling = poller(processor, file)
    folder.refusals = {2: MailboxError("quota")}
    await polling.read(ACCOUNT)
    assert (processor.taken, folder.marked, unmarked(file)) == ([1, 2, 3], [1], (2, 3))
    folder.uids.append(4)
    await polling.read(ACCOUNT)
    assert (processor.taken, folder.marked, unmarked(file)) == ([1, 2, 3, 4], [1, 4, 3], (2,))
    folder.refusals = {}
    await poller(processor, file).read(ACCOUNT)
    assert (processor.taken, folder.marked, unmarked(file)) == ([1, 2, 3, 4], [1, 4, 3, 2], ())


async def test_marks_that_fail_are_logged_once_until_one_succeeds(folder: Folder, tmp_path: Path) -> None:
    processor = RecordingProcessor(ProcessResult("bounce", joined=True))
    polling = poller(processor, tmp_path / "imap.json")
    folder.read_only = True
    for _ in range(3):
        await polling.read(ACCOUNT)
    assert [line for line, _ in processor.lines].count("imap.unmarked") == 1
    folder.read_only = False
    await polling.read(ACCOUNT)
    folder.uids, folder.refusals = [4], {4: MailboxError("no")}
    await polling.read(ACCOUNT)
    assert [line for line, _ in processor.lines].count("imap.unmarked") == 2


async def test_a_mail_that_was_copied_and_not_deleted_is_not_copied_again(folder: Folder, tmp_path: Path) -> None:
    processor, file = RecordingProcessor(ProcessResult("bounce", joined=True)), tmp_path / "imap.json"
    folder.uids, folder.refusals = [1], {1: HalfMovedError("no right to delete")}
    await poller(processor, file).read(ACCOUNT)
    assert ("imap.unmarked", None) in processor.lines
    assert unmarked(file) == ()


async def test_a_crash_before_the_mark_leaves_it_for_the_next_start(folder: Folder, tmp_path: Path) -> None:
    processor, file = RecordingProcessor(ProcessResult("bounce", joined=True)), tmp_path / "imap.json"
    folder.uids, folder.refusals = [1], {1: ZeroDivisionError()}
    with pytest.raises(ZeroDivisionError):
        await poller(processor, file).read(ACCOUNT)
    folder.refusals = {}
    await poller(processor, file).read(ACCOUNT)
    assert (processor.taken, folder.marked, unmarked(file)) == ([1], [1], ())


async def test_a_mail_that_is_gone_needs_no_mark_and_one_that_takes_none_stops_no_other(
    folder: Folder, tmp_path: Path
) -> None:
    processor, file = RecordingProcessor(ProcessResult("bounce", joined=True)), tmp_path / "imap.json"
    polling = poller(processor, file)
    folder.refusals = {uid: MailboxError("quota") for uid in (1, 2, 3)}
    await polling.read(ACCOUNT)
    assert unmarked(file) == (1, 2, 3)
    folder.uids, folder.refusals = [2, 3], {2: MailboxError("too large")}
    for _ in range(2):
        await polling.read(ACCOUNT)
    assert (folder.marked, unmarked(file)) == ([3], (2,))


@pytest.mark.parametrize(("uids", "uidnext", "taken"), [([1, 2], 3, [1, 2]), ([1, 9], 1, []), ([1, 9], 10, [])])
async def test_a_folder_whose_uids_went_back_is_read_anew(
    folder: Folder, tmp_path: Path, uids: list[int], uidnext: int, taken: list[int]
) -> None:
    processor, file = RecordingProcessor(), tmp_path / "imap.json"
    write_position(file, MailboxPosition(mailbox_name(ACCOUNT), 7, 9))
    folder.uids = uids
    folder.select = lambda: FolderState(7, len(uids), uidnext)  # type: ignore[method-assign]
    await poller(processor, file).read(ACCOUNT)
    assert processor.taken == taken
    assert ("imap.renumbered" in [line for line, _ in processor.lines]) == bool(taken)


@pytest.mark.parametrize("saved", ["", "[]", "{", '{"mailbox": 1, "uidvalidity": 1e999, "uid": 3}', "[" * 100_000])
async def test_a_damaged_position_begins_anew(folder: Folder, tmp_path: Path, saved: str) -> None:
    processor, file = RecordingProcessor(), tmp_path / "imap.json"
    file.write_text(saved, encoding="utf-8")
    await poller(processor, file).read(ACCOUNT)
    assert processor.taken == [1, 2, 3]


async def test_the_poller_ends_when_it_is_cancelled(folder: Folder, tmp_path: Path) -> None:
    task = asyncio.create_task(poller(RecordingProcessor(), tmp_path / "imap.json").run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_last_poll_is_known_for_the_mailbox_it_was_of(folder: Folder, tmp_path: Path) -> None:
    settings, one = Settings(bounces=Bounces(imap=ACCOUNT)), RecordingProcessor()
    polling = Poller(lambda: settings, tmp_path / "imap.json", one.take, one.log, NoTokens(), Metrics())
    assert polling.works(ACCOUNT) is None
    for broken, works in (({1}, False), (set[int](), True)):
        folder.broken = broken
        running = asyncio.create_task(polling.run())
        async with asyncio.timeout(PATIENCE):
            while polling.works(ACCOUNT) is not works:
                await asyncio.sleep(0.01)
        running.cancel()
    assert polling.works(ACCOUNT.model_copy(update={"host": "other.test"})) is None
