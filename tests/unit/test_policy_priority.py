"""The priority of a message: what the application says, else what the message is."""

import pytest

from relay.limits.priority import Priority
from relay.mail.headers import fields
from relay.mail.instructions import Instructions
from relay.policy.decide import priority_of
from relay.policy.message_facts import is_bulk


@pytest.mark.parametrize(
    ("header", "bulk"),
    [
        ("Subject: code", False),
        ("List-Unsubscribe: <https://x.test/u>", True),
        ("List-Id: <news.x.test>", True),
        ("Precedence: Bulk", True),
        ("Precedence: list", True),
        ("Precedence: first-class", False),
        ("X-Precedence: bulk", False),
    ],
)
def test_mail_to_many_is_known_by_its_header(header: str, bulk: bool) -> None:
    content = f"From: a@x.test\r\n{header}\r\n\r\n".encode()
    assert is_bulk(content, fields(content)) is bulk


@pytest.mark.parametrize(
    ("instructions", "bulk", "priority"),
    [
        (Instructions(), False, Priority.NORMAL),
        (Instructions(), True, Priority.CAMPAIGN),
        (Instructions(campaign="spring"), False, Priority.CAMPAIGN),
        (Instructions(campaign="spring", priority="high"), True, Priority.HIGH),
        (Instructions(priority="campaign"), False, Priority.CAMPAIGN),
        (Instructions(priority="normal"), True, Priority.NORMAL),
    ],
)
def test_what_the_application_says_comes_first(instructions: Instructions, bulk: bool, priority: Priority) -> None:
    assert priority_of(instructions, bulk=bulk) is priority
