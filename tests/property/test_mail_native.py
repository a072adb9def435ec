"""The compiled functions of `relay.mail` return what their twins in Python return, for any octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.native import IS_COMPILED, native
from tests.native.twins import golden_messages, mail_disagreement

pytestmark = pytest.mark.skipif(not IS_COMPILED, reason="the compiled code is not built: make native")

PIECES = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b".",
    b":",
    b"a",
    b"Name:",
    b"X-Y :",
    b"       ",
    b"\r\n\r\n",
    b"\xff",
    b"\0",
]
OCTETS = st.lists(st.sampled_from([*PIECES, b"eight or more octets"]), max_size=60).map(b"".join) | st.binary()


@given(OCTETS)
def test_any_octets(content: bytes) -> None:
    assert mail_disagreement(content) == ""


def test_golden_messages() -> None:
    assert [mail_disagreement(content) for content in golden_messages() if mail_disagreement(content)] == []


def test_plain_content_is_not_copied() -> None:
    content = b"a\r\nb.\r\n"
    assert native.decode_dots(content) is content
    assert native.decode_dots(b"a\r\n..b\r\n.c\r\n") == b"a\r\n.b\r\nc\r\n"
    assert native.decode_dots(b"a\nb\r\n") is None
