"""The visible text of links: words, alternative texts of images, encoded parts, and markup that is none."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli.link_text import link_texts

HEADER = b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"


def mail(html: str) -> bytes:
    return HEADER + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(html.encode())


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        ('<a href="https://a.test/?x=1&amp;y=2">Read\n <b>more</b></a>', {"https://a.test/?x=1&y=2": "Read more"}),
        ('<a href="https://a.test/"><img alt="Our shop" src="x"></a>', {"https://a.test/": "Our shop"}),
        ('<map><area href="https://a.test/" alt="The map"></map>', {"https://a.test/": "The map"}),
        ('<a href="https://a.test/"></a><a href=" https://a.test/ ">second</a>', {"https://a.test/": "second"}),
        ('<a href="https://a.test/">first</a><a href="https://a.test/">second</a>', {"https://a.test/": "first"}),
        ('<a name="top">no link</a><a href="">empty</a><a href="https://a.test/"><img src="x"></a>', {}),
        (f'<a href="https://a.test/">{"x" * 100}</a>', {"https://a.test/": "x" * 59 + "…"}),
        ("<a href='https://a.test/'>über</a><![x", {"https://a.test/": "über"}),
    ],
)
def test_the_text_of_a_link(html: str, texts: dict[str, str]) -> None:
    assert link_texts(mail(html)) == texts


def test_a_part_in_an_unknown_charset_has_no_texts() -> None:
    content = b'Content-Type: text/html; charset=none-such\r\n\r\n<a href="https://a.test/">text</a>'
    assert link_texts(content) in ({}, {"https://a.test/": "text"})


@given(st.binary(max_size=300))
def test_any_content_has_an_answer(body: bytes) -> None:
    assert isinstance(link_texts(HEADER + b"\r\n" + body), dict)
