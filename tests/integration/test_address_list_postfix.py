"""Address lists as Postfix reads them: an address its `cleanup` sees in From was read, or the list was refused."""

import asyncio
import random
import re
import smtplib

from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.canonical_address import canonical
from tests.servers.postfix import Postfix, need_postfix

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


async def test_every_address_that_postfix_sees_is_read_or_the_list_is_refused() -> None:
    need_postfix()
    dice = random.Random(15)
    values = WRITTEN + [changed(dice) for _ in range(2000)]
    async with Postfix("rcpt.test", rf"/^ceo@acme\.test$/i {MARK}") as postfix:
        await asyncio.to_thread(send, postfix.port, values)
        (content,) = await postfix.contents(1)
    # Postfix may end its header at a field that it rewrote: the fields are told apart by their name alone.
    rewritten = re.split(r"^From:", content.decode(), flags=re.MULTILINE)[1:]
    assert len(rewritten) == len(values)
    marked = [value for value, after in zip(values, rewritten, strict=True) if MARK in after]
    assert len(marked) > 100
    assert [value for value in marked if not sees_victim(value)] == []
