"""The wall clock is set while mail waits, and 72 hours pass: a whole relay over a clock that tests move."""

import asyncio
import math
import smtplib
import time
from itertools import count
from pathlib import Path

import pytest

from tests.servers import moved_clock
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Action, Received, Say, Sink
from tests.servers.waiting import until

HOUR = 3600


def send(port: int, recipient: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        content = b"From: a@app.test\r\nSubject: patience\r\n\r\nhello\r\n"
        client.sendmail("a@app.test", [recipient], content)


class MovedClock:
    """A relay's clock, which can be moved while it runs.

    `set`: somebody sets the wall clock, and the clock that nobody can set goes on. Else time itself passes, for both,
    as over a machine that sleeps.
    """

    def __init__(self, relay: RelayProcess, *, is_set: bool) -> None:
        self._relay = relay
        self._file = relay.folder / "clock"
        self.move(0)
        relay.program = ("-P", moved_clock.__file__, str(self._file), "set" if is_set else "passes")

    def move(self, seconds: float) -> None:
        """Move it to so many seconds off the true time."""
        moved_clock.write_offset(self._file, seconds)

    async def noticed(self, times: int) -> None:
        """Wait until the relay has noticed that it was set, for the so manieth time."""
        await until(lambda: len(self._relay.log("clock.set")) == times)


class NeverNow(Sink):
    """Takes everything but mail to late@rcpt.test, now and for ever."""

    def action(self, moment: str) -> Action | None:
        return Say("450 4.2.1 not now") if moment == "RCPT late@rcpt.test" else super().action(moment)


def mail_of_applications(sink: Sink) -> list[Received]:
    """Return what the sink got but for notifications."""
    return [mail for mail in sink.messages if mail.reverse_path]


def deferrals(relay: RelayProcess) -> int:
    return len(relay.log("message.deferred"))


async def tried_again(relay: RelayProcess) -> None:
    """Wait for an attempt that begins from now on."""
    before = deferrals(relay)
    await until(lambda: deferrals(relay) >= before + 2)


async def was_the_last(relay: RelayProcess, attempt: int) -> bool:
    """Wait for the end of an attempt; tell whether the mail was given up with it."""
    await until(lambda: deferrals(relay) >= attempt or bool(relay.log("message.bounced")))
    return bool(relay.log("message.bounced"))


async def test_a_clock_that_is_set_and_set_back_loses_and_bounces_nothing(tmp_path: Path) -> None:
    """While the relay runs, and while it is down: there, mail gets one more attempt."""
    async with Sink() as sink:
        relay = RelayProcess(tmp_path, sink.port)
        clock = MovedClock(relay, is_set=True)
        sink.always("RCPT", Say("450 4.2.1 not now"))
        async with relay:
            await asyncio.to_thread(send, relay.port, "before@rcpt.test")
            await tried_again(relay)
            for times, offset in enumerate((HOUR, 0, -HOUR, 0, 73 * HOUR, 0), start=1):
                clock.move(offset)
                await clock.noticed(times)
                await tried_again(relay)
                await asyncio.to_thread(send, relay.port, f"after{times}@rcpt.test")
            assert [round(line["seconds"] / HOUR) for line in relay.log("clock.set")] == [1, -1, -1, 1, 73, -73]
            assert relay.log("message.bounced") == []
            sink.behave()
            # The step looks like a delay of three days, of which the sender gets a notification.
            await until(lambda: len(mail_of_applications(sink)) == 7)
            got = sorted(recipient for mail in mail_of_applications(sink) for recipient in mail.recipients)
            assert got == [*(f"after{times}@rcpt.test" for times in range(1, 7)), "before@rcpt.test"]

            for recipient, offset in (("forward@rcpt.test", 73 * HOUR), ("backward@rcpt.test", -73 * HOUR)):
                sink.messages.clear()
                sink.always("RCPT", Say("450 4.2.1 not now"))
                await asyncio.to_thread(send, relay.port, recipient)
                await tried_again(relay)
                await relay.kill()
                clock.move(offset)
                sink.behave()
                await relay.start()
                await until(lambda: bool(mail_of_applications(sink)))
                assert [one.recipients for one in mail_of_applications(sink)] == [[recipient]]
            assert relay.log("message.bounced") == []


@pytest.mark.slow
async def test_after_72_hours_of_deferral_the_sender_is_notified(tmp_path: Path) -> None:
    """By the default schedule, from attempt to attempt."""
    async with NeverNow(extensions=("PIPELINING",)) as sink:
        relay = RelayProcess(tmp_path, sink.port)
        relay.config.write_text(relay.config.read_text().replace('retry = ["1s"]', ""))
        clock = MovedClock(relay, is_set=False)
        begun = time.time()
        async with relay:
            await asyncio.to_thread(send, relay.port, "late@rcpt.test")
            for attempt in count(1):
                if await was_the_last(relay, attempt):
                    break
                due = relay.log("message.deferred")[-1]["next_attempt_at"]
                assert due - begun < 73 * HOUR
                clock.move(math.ceil(due - time.time()))
            (bounced,) = relay.log("message.bounced")
            assert (bounced["status"], bounced["reason"]) == ("4.4.7", "not delivered within 72 hours")
            assert "450 4.2.1 not now" in bounced["reply"]
            assert 72 * HOUR <= bounced["delay"] < 73 * HOUR
            assert 10 < bounced["attempt"] < 30
            assert relay.log("clock.set") == []
            delayed, notice = await sink.received(2)
        assert (delayed.reverse_path, delayed.recipients) == ("", ["a@app.test"])
        assert b"Action: delayed" in delayed.content
        assert (notice.reverse_path, notice.recipients) == ("", ["a@app.test"])
        for told in (b"Action: failed", b"Status: 5.4.7", b"450 4.2.1 not now"):
            assert told in notice.content
