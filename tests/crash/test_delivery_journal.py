"""kill -9 between the receiver's 250 and our commit: the delivery journal remembers, and no second copy goes out."""

import asyncio
import smtplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from relay.delivery.delivery_journal import JOURNAL_FILE, read_records
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink, Wait
from tests.servers.waiting import PATIENCE, until

CONTENT = b"From: a@app.test\r\nSubject: once\r\n\r\nonce and no more\r\n"


def send(port: int, *recipients: str, options: tuple[str, ...] = ()) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail("a@app.test", list(recipients), CONTENT, rcpt_options=options)


@contextmanager
def stalled(folder: Path) -> Iterator[None]:
    """Let no commit of the relay through, as a disk that hangs would."""
    with closing(sqlite3.connect(folder / "data" / "relay.db", isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        yield
        stranger.execute("ROLLBACK")


async def deliver_and_die(relay: RelayProcess, sink: Sink, transactions: int = 1) -> None:
    """Kill the relay once the sink has said 250 to what is being delivered, while the commit is held back."""
    async with asyncio.timeout(PATIENCE):
        while len(sink.said("DATA")) < transactions:
            await asyncio.sleep(0.01)
    with stalled(relay.folder):
        await sink.received(transactions)
        journal = relay.folder / "data" / JOURNAL_FILE
        await until(lambda: len(list(read_records(journal.read_bytes()))) == transactions)
        await relay.kill()
    sink.behave()


async def test_what_was_taken_before_the_crash_is_not_sent_again(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        sink.always(".", Wait(1.5))
        await asyncio.to_thread(send, relay.port, "one@rcpt.test", "two@rcpt.test")
        await deliver_and_die(relay, sink, 2)
        assert relay.log("message.delivered") == []

        await relay.start()
        await asyncio.to_thread(send, relay.port, "later@rcpt.test")
        await until(lambda: len(relay.log("message.delivered")) == 3)
        got = sorted(recipient for mail in sink.messages for recipient in mail.recipients)
        assert got == ["later@rcpt.test", "one@rcpt.test", "two@rcpt.test"]
        told = {line["recipient"]: line for line in relay.log("message.delivered")}
        assert told["one@rcpt.test"]["recovered"] == "journal"
        assert told["one@rcpt.test"]["reply"].startswith("250 2.0.0 queued as")
        assert told["one@rcpt.test"]["remote"].startswith("[127.0.0.1]")
        assert "recovered" not in told["later@rcpt.test"]
        assert [(line["entries"], line["delivered"]) for line in relay.log("queue.recovered")] == [(0, 2)]


async def test_a_success_notice_is_sent_for_it_once(tmp_path: Path) -> None:
    async with Sink(extensions=("PIPELINING",)) as sink, RelayProcess(tmp_path, sink.port) as relay:
        sink.always(".", Wait(1.5))
        await asyncio.to_thread(send, relay.port, "one@rcpt.test", options=("NOTIFY=SUCCESS",))
        await deliver_and_die(relay, sink)

        for _ in range(2):
            await relay.start()
            await until(lambda: len(sink.messages) == 2)
            await until(lambda: len(relay.log("message.delivered")) == 2)
            await relay.kill()
        assert [mail.recipients for mail in sink.messages] == [["one@rcpt.test"], ["a@app.test"]]


async def test_what_was_refused_is_tried_again(tmp_path: Path) -> None:
    """Only a 250 to the final dot is remembered: an attempt that died earlier is made again."""
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        sink.always(".", Wait(30))
        await asyncio.to_thread(send, relay.port, "one@rcpt.test")
        async with asyncio.timeout(PATIENCE):
            while not sink.said("DATA"):
                await asyncio.sleep(0.01)
        await relay.kill()
        sink.behave()
        await relay.start()
        await until(lambda: [mail.recipients for mail in sink.messages] == [["one@rcpt.test"]])
        assert [(line["entries"], line["delivered"]) for line in relay.log("queue.recovered")] == [(1, 0)]
