"""Texts of the application that the pixel and the unsubscribe link replace."""

from base64 import encodebytes

import pytest

from relay.rewrite.mime import walk
from relay.rewrite.substitution_tags import place_pixel, replace_text

HTML = b"From: a@acme.test\r\nContent-Type: text/html; charset=utf-8\r\n"

PIXEL = b"<img>"


def placed(body: bytes, text: str = "%open%", encoding: bytes = b"8bit") -> tuple[bytes, int]:
    content = HTML + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body
    done, count = place_pixel(content, walk(content), text, PIXEL)
    return done.partition(b"\r\n\r\n")[2], count


def test_the_pixel_replaces_the_first_and_the_others_are_removed() -> None:
    assert placed(b"<p>Hi %open%</p><b>%open%%open%</b>") == (b"<p>Hi <img></p><b></b>", 3)


@pytest.mark.parametrize(
    "body",
    [
        b'<img alt="%open%">',
        b'<a title="a > %open%">x</a>',
        b"<!-- %open% -->",
        b"<!-- %open%",
        b"<script>%open%</script>",
        b"<STYLE>%open%</STYLE>",
        b"<title>%open%</title>",
        b"<textarea>%open%</textarea>",
        b"<p %open%",
        b"<a title='%open%",
    ],
)
def test_a_text_outside_of_the_page_stays(body: bytes) -> None:
    assert placed(body) == (body, 0)


def test_text_after_such_markup_counts() -> None:
    body = b"1 < 2 <!-- %open% --><titles>%open%</titles>"
    assert placed(body) == (b"1 < 2 <!-- %open% --><titles><img></titles>", 1)


def test_transfer_encodings_are_kept() -> None:
    assert placed(b"<p>=E2=82=AC %op=\r\nen%</p>", encoding=b"quoted-printable") == (b"<p>=E2=82=AC <img></p>", 1)
    body, count = placed(encodebytes(b"<p>%open%</p>").replace(b"\n", b"\r\n"), encoding=b"base64")
    assert (body, count) == (encodebytes(b"<p><img></p>").replace(b"\n", b"\r\n"), 1)


def test_hostile_markup_takes_linear_time() -> None:
    assert placed(b"<a '" * 200_000)[1] == placed(b"<!--" * 200_000)[1] == placed(b"<script>" * 100_000)[1] == 0


def test_a_url_replaces_a_text_in_all_text_parts() -> None:
    content = (
        b'From: a@acme.test\r\nContent-Type: multipart/alternative; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nLeave: [leave]\r\n"
        b'--b\r\nContent-Type: text/html\r\n\r\n<a href="[leave]">x</a>\r\n--b--\r\n'
    )
    done, count = replace_text(content, walk(content), "[leave]", b"https://t.acme.test/u/x")
    assert count == 2
    assert done == content.replace(b"[leave]", b"https://t.acme.test/u/x")


def test_a_signed_message_stays() -> None:
    content = b"DKIM-Signature: v=1\r\n" + HTML + b"\r\n<p>%open%</p>"
    assert place_pixel(content, walk(content), "%open%", PIXEL) == (content, 0)
