"""kill -9 in the middle: what was answered 250 arrives."""

import asyncio
import random
import smtplib
from pathlib import Path

from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

MESSAGES = 500

SENDERS = 10

KILLS = 5


class Sender:
    """An application that sends numbered mails and remembers which were taken."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.taken: list[int] = []

    def run(self, numbers: list[int]) -> None:
        for number in numbers:
            while not self.send(number):
                pass

    def send(self, number: int) -> bool:
        content = f"From: a@app.test\r\nSubject: {number}\r\n\r\nbody of {number}\r\n".encode()
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
                client.sendmail("a@app.test", [f"u{number}@rcpt.test"], content)
        except (OSError, smtplib.SMTPException):
            return False
        self.taken.append(number)
        return True


async def test_every_message_answered_250_arrives_whole(tmp_path: Path) -> None:
    dice = random.Random(1042)
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        sender = Sender(relay.port)
        shares = [list(range(start, MESSAGES, SENDERS)) for start in range(SENDERS)]
        sending = asyncio.gather(*(asyncio.to_thread(sender.run, share) for share in shares))
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.2, 0.6))
            await relay.kill()
            await relay.start()
        await sending
        assert sorted(sender.taken) == list(range(MESSAGES))
        got: dict[str, bytes] = {}
        for _ in range(300):
            got = {recipient: mail.content for mail in sink.messages for recipient in mail.recipients}
            if len(got) == MESSAGES:
                break
            await asyncio.sleep(0.1)
        assert len(got) == MESSAGES
        for number in range(MESSAGES):
            assert f"body of {number}\r\n".encode() in got[f"u{number}@rcpt.test"]
        assert len(sink.messages) - MESSAGES <= 2 * KILLS + SENDERS * KILLS
