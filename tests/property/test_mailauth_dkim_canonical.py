from hashlib import sha256

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from relay.mailauth import dkim_sign
from relay.mailauth.dkim_sign import body_hash, relaxed_body, relaxed_header

_PIECES = st.sampled_from(
    [b" ", b"\t", b"  ", b" \t ", b"a", b"word", b".", b"\r", b"\x0b", b"\x00", b"\xff", b" " * 70]
)

_LINE = st.one_of(
    st.lists(_PIECES, max_size=8).map(b"".join),
    st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"")),
)

_BODY = st.lists(_LINE, max_size=12).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@given(_BODY)
def test_bodies_have_the_form_dkimpy_gives_them(body: bytes) -> None:
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)  # type: ignore[no-untyped-call]


@given(_BODY, _LINE)
def test_the_last_line_end_makes_no_difference(body: bytes, last: bytes) -> None:
    """dkimpy keeps a blank before the end of the message; SMTP ends the line, and then dkimpy drops it too."""
    assert relaxed_body(body + last) == relaxed_body(body + last + b"\r\n")


@given(_BODY)
def test_the_form_of_the_form_is_itself(body: bytes) -> None:
    assert relaxed_body(relaxed_body(body)) == relaxed_body(body)


@given(_BODY, _LINE, st.integers(1, 40))
def test_a_body_in_pieces_has_the_hash_of_the_whole(body: bytes, last: bytes, piece: int) -> None:
    content = b"Subject: a\r\n\r\n" + body + last
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkim_sign, "_PIECE", piece)
        assert body_hash(content, 14) == sha256(relaxed_body(content[14:])).digest()


@given(
    st.from_regex(rb"[!-9;-~]{1,20}", fullmatch=True),
    st.lists(_LINE.map(lambda line: line.translate(None, b"\r\x0b\x0c")), min_size=1, max_size=5),
)
def test_fields_have_the_form_dkimpy_gives_them(name: bytes, lines: list[bytes]) -> None:
    """dkimpy strips CR, VT and FF from the ends of a value too, RFC 6376 section 3.4.2 does not: none here."""
    value = b"\r\n\t".join(lines) + b"\r\n"
    ((key, relaxed),) = Relaxed.canonicalize_headers([(name, value)])  # type: ignore[no-untyped-call]
    assert relaxed_header(name, value) == key + b":" + relaxed
