"""Applications that send without a pause through nodes chosen at random, and remember what they were promised.

Each message has a number of its own. It is sent again, through any node, until a node has answered 250.
"""

import random
import re
import smtplib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.abuse.nodes.sink import PROOF
from tests.abuse.nodes.story import Promise, Refusal

OPEN = tuple(f"app{number}.test" for number in range(4))
"""Sending domains without a limit, each with a provider of its own: as many lanes."""

IDENTITIES = "limited.test"
"""The domain whose addresses have an hourly limit each."""

LIMITED_IDENTITIES = 1000
"""Identities of that domain with a limit; more than a run uses up."""

SCARCE = "scarce.test"
"""The domain whose provider has a daily limit."""

RECIPIENTS = 200

_QUEUED = re.compile(r"queued as (\w+)")

BODY = "".join(
    f'<p>Paragraph {number} <a href="https://shop.test/{number}">of an offer</a></p>\r\n' for number in range(8)
)


class Sender(threading.Thread):
    """One application; `sender_of` names the From address of its next message."""

    def __init__(self, number: int, ports: Sequence[int], dice: random.Random, sender_of: Callable[[int], str]) -> None:
        super().__init__(name=f"sender {number}", daemon=True)
        self._number = number
        self._ports = ports
        self._dice = dice
        self._sender_of = sender_of
        self._ending = threading.Event()
        self._client: smtplib.SMTP | None = None
        self.promises: list[Promise] = []
        self.refusals: list[Refusal] = []

    def end(self) -> None:
        """Send nothing new."""
        self._ending.set()

    def run(self) -> None:
        serial = 0
        while not self._ending.is_set():
            self._send_until_taken(serial)
            serial += 1
            self._ending.wait(self._dice.uniform(0.0, 0.04))
        self._hang_up()

    def _send_until_taken(self, serial: int) -> None:
        proof = f"{self._number:02}-{serial:06}"
        recipients = tuple(
            f"u{number}@rcpt.test"
            for number in self._dice.sample(range(RECIPIENTS), self._dice.choice((1, 1, 1, 2, 3)))
        )
        sender = self._sender_of(serial)
        while not self._ending.is_set():
            try:
                said = self._transact(sender, recipients, proof)
            except smtplib.SMTPResponseException as refused:
                self._refused(refused.smtp_code, refused.smtp_error)
            except (OSError, smtplib.SMTPException) as error:
                self._hang_up()
                self._refused(0, type(error).__name__)
            else:
                found = _QUEUED.search(said)
                assert found is not None, said
                self.promises.append(Promise(proof, found[1], recipients, time.time()))
                return
            self._ending.wait(self._dice.uniform(0.05, 0.3))

    def _transact(self, sender: str, recipients: Sequence[str], proof: str) -> str:
        """Send a message over the connection there is, or through another node; return the last reply."""
        if self._client is None or self._dice.random() < 0.1:
            self._hang_up()
            self._client = smtplib.SMTP("127.0.0.1", self._dice.choice(self._ports), timeout=60)
            self._client.ehlo()
        for command, code in (
            (f"MAIL FROM:<{sender}>", 250),
            *((f"RCPT TO:<{one}>", 250) for one in recipients),
            ("DATA", 354),
        ):
            self._wanted(self._client.docmd(command), code)
        self._client.send(
            f"From: {sender}\r\nTo: list@rcpt.test\r\nSubject: proof {proof}\r\n{PROOF}: {proof}\r\n"
            f"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{proof}</p>\r\n{BODY}.\r\n"
        )
        return self._wanted(self._client.getreply(), 250)

    def _wanted(self, reply: tuple[int, bytes], code: int) -> str:
        assert self._client is not None
        if reply[0] != code:
            if reply[0] == 421:
                self._hang_up()
            else:
                self._client.rset()
            raise smtplib.SMTPResponseException(*reply)
        return reply[1].decode()

    def _refused(self, code: int, text: str | bytes) -> None:
        said = text.decode() if isinstance(text, bytes) else text
        self.refusals.append(Refusal(time.time(), code, said))

    def _hang_up(self) -> None:
        if self._client is not None:
            with suppress(OSError):
                self._client.close()
            self._client = None


def open_sender(number: int) -> Callable[[int], str]:
    """Return the names of an application without limits."""
    return lambda serial: f"news@{OPEN[number % len(OPEN)]}"


def limited_sender(limit: int) -> Callable[[int], str]:
    """Return the names of an application that sends more as each identity than that has room for, then as the next.

    So there are limits that bind at every moment of a run. All applications of this kind send as the same ones.
    """
    return lambda serial: f"id{serial // limit % LIMITED_IDENTITIES}@{IDENTITIES}"


def scarce_sender() -> Callable[[int], str]:
    """Return the names of an application of which one mail in six goes by a provider that takes little."""
    return lambda serial: f"news@{OPEN[0] if serial % 6 else SCARCE}"
