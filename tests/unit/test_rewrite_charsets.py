"""Names of charsets in which HTML is read as ASCII."""

from encodings.aliases import aliases

import pytest

from relay.rewrite.charsets import is_ascii_based

_PRINTABLE = bytes(octet for octet in range(0x20, 0x7F) if octet not in b"\\~")
"""Without the two characters that Japan's national variant of ASCII lacks; no HTML has a meaning for them."""

_STATEFUL = ("hz", "iso2022", "utf_7")
"""Codecs in which ASCII octets are other characters after a shift."""


def _decodes_ascii(codec: str) -> bool:
    try:
        return _PRINTABLE.decode(codec) == _PRINTABLE.decode("ascii")
    except (LookupError, UnicodeError):
        return False


@pytest.mark.parametrize("name", sorted({*aliases, *aliases.values()} - {"mbcs", "ansi", "dbcs"}))
def test_each_name_of_a_codec_is_read_as_the_codec(name: str) -> None:
    codec = aliases.get(name, name)
    expected = _decodes_ascii(codec) and not codec.startswith(_STATEFUL) and codec != "johab"
    assert {is_ascii_based(one) for one in (name, name.replace("_", "-"))} == {expected}


def test_no_second_octet_of_a_character_is_one_of_html() -> None:
    for codec in {codec for codec in aliases.values() if is_ascii_based(codec)}:
        for first in range(0x80, 0x100):
            for second in b"<>\"'=&/":
                try:
                    decoded = bytes((first, second)).decode(codec)
                except UnicodeError:
                    continue
                assert len(decoded) == 2, (codec, first, second)


@pytest.mark.parametrize(
    "name",
    """csisolatin9 csutf8 csshiftjis cseuckr csgb2312 csbig5 cswindows1252 cswindows31j ms_kanji cseucpkdfmtjapanese
    ms936 csksc56011987 cstis620 cspc850multilingual ibm00858 ccsid00858 csmacintosh ecma-114 arabic greek cyrillic
    utf_8 utf8mb4 unicode-1-1-utf-8 iso-10646-utf-8 cp65001 x-euc-jp x-gbk x-cp1252 x-windows-1252 win-1251
    win1252 ansi_x3.4-1968 iso_8859-1:1987 iso-8859-8-i l1 latin1 x-x-big5 ks_c_5601-1989""".split(),  # noqa: SIM905
)
def test_names_of_iana_and_of_vendors_are_known(name: str) -> None:
    assert is_ascii_based(name)


@pytest.mark.parametrize(
    "name", ["utf-16", "utf-16le", "utf-32", "utf-7", "hz-gb-2312", "iso-2022-kr", "ebcdic", "", "x", "cs"]
)
def test_others_are_not(name: str) -> None:
    assert not is_ascii_based(name)
