"""URLs in text parts: where they begin and where they end."""

import pytest

from relay.rewrite.eligibility import readable
from relay.rewrite.message import rewrite
from relay.rewrite.options import Tracking
from relay.rewrite.text_links import text_urls
from relay.rewrite.tokens import Keyring

TRACKING = Tracking(base_url="https://t.acme.test", text_links=True)
RING = Keyring((("k1", b"k" * 32),))


def found(text: str, charset: str = "utf-8", *, joins_lines: bool = False) -> list[tuple[str, bool]]:
    encoded = text.encode(charset)
    masked, reason = readable(encoded, charset)
    assert not reason
    urls = text_urls(masked, encoded, charset, joins_lines=joins_lines)
    return [(encoded[url.start : url.end].decode(charset, "replace"), url.is_certain) for url in urls]


@pytest.mark.parametrize(
    "text",
    [
        "Shop [{}]",
        "Shop [{}][1]",
        "[shop]({})",
        "[shop]({}), and more",
        "({}).",
        "(see {})",
        "<{}>",
        '"{}"',
        "'{}' it is",
        "{}.",
        "{}!?",
        "*{}*",
        "{}",
        "\ufeff{}",
        "\u201c{}\u201d",
        "\u00ab{}\u00bb",
        "\uff08{}\uff09\u3002",
        "\u898b\u3066{}\uff0c\u305d\u3057\u3066",
        "{}\u2026",
        "{}\u3000\u3067\u3059",
        "{}](x)",
    ],
)
@pytest.mark.parametrize(
    "url",
    [
        "https://e.test/s",
        "http://e.test/TD(EU).pdf",
        "https://e.test/it's?a=(b)&c",
        "https://[2001:db8::1]:8080/a",
        "HTTPS://E.test/a_b",
    ],
)
def test_a_url_ends_where_the_text_goes_on(text: str, url: str) -> None:
    if "'" in url and "'" in text:
        return
    assert found(text.format(url)) == [(url, True)]


@pytest.mark.parametrize("after", ["\u00fcnicode", "\u65e5\u672c", "\u20ac", "a\u0308", "\u200b", "x\u2603", "\u00b2"])
def test_a_url_that_goes_on_outside_ascii_is_not_certain(after: str) -> None:
    assert found(f"see https://e.test/{after} and https://e.test/b") == [
        (f"https://e.test/{after}", False),
        ("https://e.test/b", True),
    ]


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "shift_jis", "gb18030", "euc-jp", "iso-2022-jp"])
def test_the_character_behind_is_read_in_the_charset_of_the_part(charset: str) -> None:
    letter, mark = ("\u00fc", "\u00bb") if charset in ("iso-8859-1", "windows-1252") else ("\u65e5", "\uff0c")
    assert found(f"https://e.test/{letter}", charset)[0][1] is False
    assert found(f"{letter}https://e.test/a{mark}{letter}https://e.test/b", charset) == [
        ("https://e.test/a", True),
        ("https://e.test/b", True),
    ]


def test_in_a_charset_that_is_not_known_it_may_be_a_letter() -> None:
    text = "https://e.test/\u201d".encode()
    assert [url.is_certain for url in text_urls(text, text, "x-unknown", joins_lines=False)] == [False]
    assert [url.is_certain for url in text_urls(text, text, "us-ascii", joins_lines=False)] == [False]


def test_two_urls_in_a_row_are_two() -> None:
    assert found("https://a.test/\uff0chttps://b.test/") == [("https://a.test/", True), ("https://b.test/", True)]
    assert found("(https://a.test/)https://b.test/") == [("https://a.test/", True), ("https://b.test/", True)]


def test_a_line_that_goes_on_in_the_next_one_is_not_certain() -> None:
    text = "https://a.test/very \r\nlong and https://b.test/x, \r\nmore"
    assert found(text, joins_lines=True) == [("https://a.test/very", False), ("https://b.test/x", True)]
    assert found(text) == [("https://a.test/very", True), ("https://b.test/x", True)]


def test_no_part_of_such_a_url_is_replaced() -> None:
    text = "Menu: https://e.test/\u00fcnicode [https://e.test/s]\r\n"
    flowed = "https://a.test/very \r\nlong\r\n"
    for body, header in ((text, "charset=utf-8"), (flowed, "format=flowed; DelSp=YES")):
        content = f"Content-Type: text/plain; {header}\r\n\r\n{body}".encode()
        result = rewrite(content, TRACKING, RING, "1M8Q692J9F20B4", 0)
        first = result.links[0]
        assert (first.tracked, first.reason) == (False, "not a plain URL: a browser would have to repair it")
        assert body[: body.index("long" if header.startswith("f") else " [")].encode() in result.content
