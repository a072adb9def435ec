"""Address lists as Postfix reads them: whether it sees an address in From that was not read."""

import asyncio
import random
import re
import smtplib

from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.canonical_address import canonical
from tests.fuzz.seeds import cases
from tests.servers.postfix import Postfix

VICTIM = "ceo@acme.test"
MARK = "seen@mark.test"

WRITTEN = [
    "ceo @acme.test",
    "<ceo@\r\n acme.test>",
    "Group: ceo@acme.test;",
    "<app@acme.test> <ceo@acme.test>",
    "app@acme.test, ceo@acme.test",
    "app@acme.test ceo@acme.test",
    '"unclosed <ceo@acme.test>',
    "(unclosed <ceo@acme.test>",
    "<@a.test,@b.test:ceo@acme.test>",
    '"ceo"@acme.test',
    '"c\\eo"@acme.test.',
    "ceo(x)@(y)acme . test",
    "Ann Lee <ceo@acme.test>, (c) b@x.test",
]
PIECES = [*'@<>,:;()"\\ .[]=', "\t", "\r\n ", "ceo", "acme.test", "Name", "app@acme.test", '"q s"', "<b@x.test>"]


def changed(dice: random.Random) -> str:
    """Return one of the values with pieces put in and taken out."""
    value = dice.choice(WRITTEN)
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(value) + 1)
        value = value[:at] + dice.choice(PIECES) + value[at + dice.randrange(2) :]
    lines = (line.strip() for line in value.split("\n"))
    return "\r\n ".join(line for line in lines if line)


def sees_victim(value: str) -> bool:
    """Tell whether the victim is read, or the list is refused."""
    read = parse_address_list(value)
    return isinstance(read, Unreadable) or VICTIM in {canonical(one.address) for one in read}


def send(port: int, values: list[str]) -> None:
    """Send one message with a From field for each value."""
    content = "".join(f"From: {value}\r\n" for value in values) + "Subject: x\r\n\r\nx\r\n"
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("app@acme.test", ["u@rcpt.test"], content)


AT_ONCE = 2000
"""Lists in one message to Postfix."""


def values(dice: random.Random, number: int) -> list[str]:
    """Return so many lists by chance."""
    return [changed(dice) for _ in range(number)]


def written() -> list[str]:
    """Return the lists of the tests, with each of their addresses once in the place of the victim's."""
    listed = [str(case["value"]) for case in cases()]
    usual = [value for value in listed if value.isprintable() and value.isascii() and value.strip()]
    return WRITTEN + [value.replace("ann@acme.test", VICTIM).replace("ann", "ceo") for value in usual]


async def missed_addresses(given: list[str]) -> tuple[list[str], int]:
    """Return the lists in which Postfix sees the victim and ours does not, and the number in which it sees it."""
    async with Postfix("rcpt.test", rf"/^ceo@acme\.test$/i {MARK}") as postfix:
        await asyncio.to_thread(send, postfix.port, given)
        (content,) = await postfix.contents(1)
    # Postfix may end its header at a field that it rewrote: the fields are told apart by their name alone.
    rewritten = re.split(r"^From:", content.decode(), flags=re.MULTILINE)[1:]
    assert len(rewritten) == len(given)
    marked = [value for value, after in zip(given, rewritten, strict=True) if MARK in after]
    return [value for value in marked if not sees_victim(value)], len(marked)
