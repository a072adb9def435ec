import pytest

from relay.mail.smtp_command import decode_xtext


@pytest.mark.parametrize(
    ("text", "decoded"), [("abc", "abc"), ("a+2Bb+3Dc", "a+b=c"), ("", ""), ("k+C3+B6ln", "köln"), ("x+20y", "x y")]
)
def test_hex_pairs_stand_for_octets(text: str, decoded: str) -> None:
    assert decode_xtext(text) == decoded


@pytest.mark.parametrize("text", ["a+b", "a=b", "a b", "+2b", "+", "ö", "a+0D+0ABcc:x", "+00", "+C3", "a+1B[2J"])
def test_what_is_no_xtext_or_does_not_print_is_none(text: str) -> None:
    assert decode_xtext(text) is None
