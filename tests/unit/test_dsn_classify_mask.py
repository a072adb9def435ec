"""Masking: replies that differ in names and numbers alone become one."""

import pytest

from relay.dsn.reply_parts import mask_reply


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("550 5.1.1 <ann@b.example>: no box 12", "550 5.1.1 <address>: no box <n>"),
        ("421 wait, mx1.b.example[192.0.2.1] is at 2001:db8::1", "421 wait, <host>[<ip>] is at <ip>"),
        ("554 see https://b.example/x?y=1 for q1-20020a05620a", "554 see <link> for <id>"),
        ("550-odd\n550 odd", "550 odd <n> odd"),
        ("nothing to mask", "nothing to mask"),
        ("", ""),
    ],
)
def test_variable_parts_of_a_reply_are_masked(text: str, masked: str) -> None:
    assert mask_reply(text) == masked


def test_two_of_a_kind_are_one() -> None:
    assert mask_reply("550 box 4711 of a@b.example is odd (Xy12ab34)") == mask_reply(
        "550 box 9 of cc@dd.example is odd (Qq98zz76)"
    )
