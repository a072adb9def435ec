"""What is commands in a transaction."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.commands import Capabilities, build_commands, message_fault, recipient_fault
from relay.mail.dot_stuffing import stuffed
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.queue.ports import Rendered

EVERYTHING = Capabilities.of(
    {"pipelining": "", "8bitmime": "", "smtputf8": "", "dsn": "", "size": "1000", "enhancedstatuscodes": ""}
)

NOTHING = Capabilities()

MESSAGE = Message("q1", 0.0, "a@acme.test", ret="FULL", envid="id+3D1")

ENTRY = Entry("q1", 0, "b@x.test", "mx:x.test", 0.0, 1.0, 0.0, notify=("SUCCESS", "FAILURE"), orcpt="rfc822;b+40x")

RENDERED = Rendered("a@acme.test", b"Subject: x\r\n\r\nx\r\n")


def test_capabilities_are_read_from_ehlo() -> None:
    assert Capabilities(True, True, True, True, True, 1000) == EVERYTHING
    assert Capabilities.of({}) == NOTHING


@pytest.mark.parametrize("limit", ["", "0", "x", "-5", "²", "9" * 40])
def test_a_size_that_limits_nothing(limit: str) -> None:
    assert Capabilities.of({"size": limit}) == Capabilities(size=True)


def test_every_parameter_that_is_offered() -> None:
    commands = build_commands(MESSAGE, (ENTRY,), RENDERED, EVERYTHING)
    assert commands.mail == b"MAIL FROM:<a@acme.test> SIZE=17 RET=FULL ENVID=id+3D1\r\n"
    assert commands.recipients == (b"RCPT TO:<b@x.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+40x\r\n",)


def test_none_that_is_not() -> None:
    commands = build_commands(MESSAGE, (ENTRY,), RENDERED, NOTHING)
    assert commands.mail == b"MAIL FROM:<a@acme.test>\r\n"
    assert commands.recipients == (b"RCPT TO:<b@x.test>\r\n",)


def test_the_null_reverse_path() -> None:
    assert build_commands(MESSAGE, (ENTRY,), Rendered("", b""), NOTHING).mail == b"MAIL FROM:<>\r\n"


@pytest.mark.parametrize("value", ["has space", "a=b", "a\r\nRCPT TO:<evil@x.test>", "ü", "x" * 501])
def test_a_value_no_command_can_hold_is_left_out(value: str) -> None:
    commands = build_commands(replace(MESSAGE, envid=value), (replace(ENTRY, orcpt=value),), RENDERED, EVERYTHING)
    assert b"ENVID" not in commands.mail
    assert b"ORCPT" not in commands.recipients[0]
    assert commands.mail.count(b"\r\n") == commands.recipients[0].count(b"\r\n") == 1


@pytest.mark.parametrize("address", ["a\r\nDATA@x.test", "a\0@x.test", '"a\n"@x.test'])
def test_control_characters_are_never_said(address: str) -> None:
    fault = recipient_fault(replace(ENTRY, recipient=address), EVERYTHING)
    assert fault is not None
    assert fault.status == "5.1.3"
    fault = message_fault(MESSAGE, Rendered(address, b""), EVERYTHING)
    assert fault is not None
    assert fault.status == "5.1.7"


EIGHT = "Subject: x\r\n\r\nü\r\n".encode()

EIGHT_IN_HEADERS = "Subject: ü\r\n\r\nx\r\n".encode()


@pytest.mark.parametrize(
    ("smtputf8", "reverse_path", "recipient", "content", "needed"),
    [
        (False, "a@x.test", "b@x.test", EIGHT, False),
        (False, "a@x.test", "b@x.test", EIGHT_IN_HEADERS, False),
        (True, "a@x.test", "b@x.test", EIGHT, False),
        (True, "a@x.test", "b@x.test", EIGHT_IN_HEADERS, True),
        (False, "ä@x.test", "b@x.test", EIGHT, True),
        (False, "a@x.test", "b@bücher.test", EIGHT, True),
    ],
)
def test_smtputf8_when_something_needs_it(
    smtputf8: bool, reverse_path: str, recipient: str, content: bytes, needed: bool
) -> None:
    message, entry = replace(MESSAGE, smtputf8=smtputf8), replace(ENTRY, recipient=recipient)
    rendered = Rendered(reverse_path, content)
    assert (b"SMTPUTF8" in build_commands(message, (entry,), rendered, EVERYTHING).mail) is needed
    without = message_fault(message, rendered, NOTHING) or recipient_fault(entry, NOTHING)
    assert (without is not None) is needed
    assert without is None or (without.code, without.status) == (553, "5.6.7")
    assert message_fault(message, rendered, EVERYTHING) is None


def test_body_says_8bitmime_only_for_8bit_content() -> None:
    assert b" BODY=8BITMIME" in build_commands(MESSAGE, (ENTRY,), Rendered("a@x.test", EIGHT), EVERYTHING).mail
    assert b" BODY" not in build_commands(MESSAGE, (ENTRY,), RENDERED, EVERYTHING).mail


def test_a_message_above_the_size_of_the_server_is_refused() -> None:
    fault = message_fault(MESSAGE, Rendered("a@x.test", b"x" * 1001), EVERYTHING)
    assert fault is not None
    assert (fault.code, fault.status) == (552, "5.3.4")
    assert message_fault(MESSAGE, Rendered("a@x.test", b"x" * 1000), EVERYTHING) is None


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n..\r\na.b\r\n", b"..\r\n...\r\na.b\r\n.\r\n"),
    ],
)
def test_dots_are_doubled_and_the_end_is_added(content: bytes, sent: bytes) -> None:
    assert b"".join(stuffed(content)) == sent


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"", b"a.", b".a"])).map(lambda lines: b"\r\n".join([*lines, b""])))
def test_what_the_other_side_undoes_is_what_was_meant(content: bytes) -> None:
    *lines, end, nothing = b"".join(stuffed(content)).split(b"\r\n")
    assert (end, nothing) == (b".", b"")
    assert all(line != b"." for line in lines)
    assert b"".join(line.removeprefix(b".") + b"\r\n" for line in lines) == content


def test_a_content_without_dots_to_double_is_not_copied() -> None:
    content = b"a.b\r\n" * 1000
    assert stuffed(content)[0] is content
