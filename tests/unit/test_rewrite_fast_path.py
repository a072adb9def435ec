"""The fast path of rewriting: the same bytes and notes as its twin in Python, or no answer."""

import os
from random import Random

import pytest

from relay.domains.relay_keys import Keys
from relay.mail.queue_id import queue_id
from relay.render.message import RenderInput
from relay.render.message_policy import MessagePolicy
from relay.render.render import render
from relay.rewrite import fast_path
from relay.rewrite.fast_path import analyse_fast, apply_fast
from relay.rewrite.message import rewrite
from relay.rewrite.mime import walk
from relay.rewrite.native import IS_COMPILED
from relay.rewrite.options import Tracking
from tests.native.twins import (
    BASE,
    ENCODINGS,
    QUEUE_ID,
    RING,
    SWITCHES,
    disagreement,
    golden_messages,
    message,
    mutated,
    with_crlf,
)
from tests.shared import shared

pytestmark = pytest.mark.skipif(not IS_COMPILED, reason="the compiled code is not built: make native")
every_switch = pytest.mark.parametrize("switch", SWITCHES)
TRACKING = SWITCHES["all"]

LINK = b'<a href="https://x.test/?a=1&amp;b=2">x</a>'
TAKEN = {
    "a body": b"<html><body><p>Hello</p>" + LINK + b"</body></html>",
    "no end of the body": b"<p>Hello</p>" + LINK + b"\r\n\r\n",
    "only a text": b"Hello",
    "an element that is still open": b"<table><tr><td>" + LINK,
    "a link that is still open": b'<p>Hello</p><a href="https://x.test/">',
    "formatting right before the end": LINK + b"<p>x</p><b><i></body></html>",
    "no-break spaces and UTF-8": "<p>H\u00e9llo\u00a0</p>".encode() + LINK,
    "a link for Outlook": b"<!--[if mso]><v:rect href='https://v.test/'></v:rect>" + LINK + b"<![endif]--><p>x</p>",
    "a comment that reveals": b"<!--[if !mso]><!-->" + LINK + b"<!--<![endif]-->",
    "a comment": b"<!-- " + LINK + b" -->" + LINK,
    "styles and titles": b"<head><title>" + LINK + b"</title><style>a{}</style></head><body>" + LINK,
    "a link the twin classifies": b'<a href=" https://x.test/&#63;a=%zz">x</a><a href="https://u@x.test/">x</a>' + LINK,
    "a URL with spaces": b'<a href="https://x.test/?a=1  b">x</a><a href="https://x.test/ ">x</a>' + LINK,
    "spaces around references": b'<a href="https://x.test/ &#32;">x</a><a href="https://x.test/ &x;y z">x</a>' + LINK,
    "spaces at the ends": b'<a href="https://x.test/ \t">x</a><a href="&#32; https://x.test/">x</a>' + LINK,
    "spaces and line ends": b'<a href="https://x.test/\r\n ">x</a><a href="https://x.test/ \r\na">x</a>' + LINK,
    "a visible URL": b'<a href="https://x.test/">https://y.test/</a>' + LINK,
    "a secret": b'<a href="https://x.test/reset?t=0123456789abcdefABCDEF">x</a>' + LINK,
    "a link that says unsubscribe": b'<a href="https://x.test/1">Unsubscribe</a><a href="https://x.test/optout">x</a>'
    + LINK,
    "a link that says it in another language": '<a href="https://x.test/1">Отписаться</a>'.encode() + LINK,
    "a link that says it in references": b'<a href="https://x.test/1">un&#115;ubscribe</a>' + LINK,
    "a text like that": b'<a href="https://x.test/options">Subscribe to our options</a>' + LINK,
    "a placeholder": b'<a href="{{unsubscribe_url}}">x</a><a href="http://*|UNSUB|*">x</a>' + LINK,
    "a placeholder in a URL": b'<a href="https://x.test/?u=%7B%7Bunsubscribe_url%7D%7D">x</a>' + LINK,
    "an opt-out": b'<a clicktracking=off href="https://x.test/">x</a>' + LINK,
}
LEFT = {
    "a script": b"<script>if (a < b) {}</script>" + LINK,
    "SVG": b"<svg><a href='https://x.test/'/></svg>" + LINK,
    "MathML": b"<math></math>" + LINK,
    "frames": b"<frameset><frame></frameset>" + LINK,
    "plain text to the end": LINK + b"<plaintext>",
    "an unfinished tag": LINK + b"<a href='",
    "an unfinished comment": LINK + b"<!-- x",
    "an unfinished style": LINK + b"<style>",
    "a tag that begins in a conditional comment and does not end there": b"<!--[if mso]><a href='<![endif]-->" + LINK,
    "the tracker itself": f"<img src='{BASE}/o/x'>".encode() + LINK,
    "inline PGP": b"-----BEGIN PGP MESSAGE-----" + LINK,
    "NUL": b"\0" + LINK,
    "a place in the head only": b"<head><template>",
}


@every_switch
def test_golden_messages_are_the_same(switch: str) -> None:
    found = [disagreement(content, SWITCHES[switch]) for content in golden_messages()]
    assert not any(found)
    assert ("" in found) == (switch != "text links")


@every_switch
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", [*TAKEN, *LEFT])
def test_every_kind_is_the_same(kind: str, encoding: str, switch: str) -> None:
    assert not disagreement(message((TAKEN | LEFT)[kind], encoding), SWITCHES[switch])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", TAKEN)
def test_the_fast_path_takes(kind: str, encoding: str) -> None:
    assert disagreement(message(TAKEN[kind], encoding), TRACKING) == ""


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", LEFT)
def test_the_fast_path_leaves_to_its_twin(kind: str, encoding: str) -> None:
    assert disagreement(message(LEFT[kind], encoding), TRACKING) is None


@pytest.mark.parametrize(
    "body", [b"=", b"=3", b"=G0", b"=0G", b"==", b"= \r\n", b"=\n", b"=\r", b"=00", b"a=\r\n=\r\n.=\r\n"]
)
def test_odd_quoted_printable_is_the_same(body: bytes) -> None:
    head = b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    for content in (head + body, head + LINK.replace(b"=", b"=3D") + body, head + body + LINK.replace(b"=", b"=3D")):
        assert not disagreement(content, TRACKING)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_text_of_one_octet_is_read_only(encoding: str) -> None:
    # Python has one object for all equal bytes objects of one octet.
    assert disagreement(message(b"Q", encoding), TRACKING) == ""
    assert list(bytes([81])) == [81]


@pytest.mark.parametrize("length", range(40, 80))
def test_lines_break_at_the_same_place(length: int) -> None:
    html = b"x" * length + b'<a href="https://a.test/.' + b"." * length + b'">.</a>' + b"y" * (80 - length)
    assert disagreement(message(html, "quoted-printable"), TRACKING) == ""


def test_a_list_unsubscribe_url_is_not_tracked() -> None:
    content = b"List-Unsubscribe: <https://x.test/?a=1&b=2>\r\n" + message(LINK + LINK.replace(b"x.", b"y."), "8bit")
    assert disagreement(content, TRACKING) == ""
    plan = analyse_fast(content, TRACKING, walk(content))
    assert plan is not None
    done = apply_fast(plan, content, RING, QUEUE_ID, 0)
    assert done is not None
    assert (done.link_count, done.tracked_count) == (2, 1)


@every_switch
def test_mutated_messages_are_the_same(switch: str) -> None:
    random = Random(switch)
    texts = [*TAKEN.values(), *LEFT.values()]
    for _ in range(500):
        content = message(mutated(random.choice(texts), random), random.choice(ENCODINGS))
        assert not disagreement(content, SWITCHES[switch]), content


def corpus() -> list[bytes]:
    folder = shared("data/fidelity")
    mails = [with_crlf(path.read_bytes()) for path in sorted((folder / "eml").rglob("*.eml"))]
    pages = [with_crlf(path.read_bytes()) for path in sorted((folder / "html").rglob("*.html"))]
    return mails + [message(page, ENCODINGS[number % 4]) for number, page in enumerate(pages)]


@every_switch
def test_real_mails_are_the_same(switch: str) -> None:
    """Each mail under one of the switches, and with `make fuzz-native` under all of them."""
    whole = "RELAY_TEST_EVERY_SWITCH" in os.environ
    mails = corpus()[0 if whole else list(SWITCHES).index(switch) :: 1 if whole else len(SWITCHES)]
    different = [content for content in mails if disagreement(content, SWITCHES[switch])]
    assert not different


def test_most_real_mails_that_are_rewritten_take_the_fast_path() -> None:
    mails = [with_crlf(path.read_bytes()) for path in sorted(shared("data/fidelity/eml").rglob("*.eml"))]
    rewritten = [content for content in mails if rewrite(content, TRACKING, RING, QUEUE_ID, 0).content is not content]
    taken = [content for content in rewritten if disagreement(content, TRACKING) == ""]
    assert len(taken) >= 0.84 * len(rewritten)


@pytest.mark.parametrize("html", [TAKEN["a body"], LEFT["a script"]])
def test_rendering_is_the_same_without_compiled_code(html: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = RenderInput(
        queue_id=queue_id(1_764_000_000.0, 1),
        created_at=0.0,
        reverse_path="a@b.test",
        content=message(html, "quoted-printable"),
        policy=MessagePolicy(tracking=Tracking(base_url=BASE), copies=(1,)),
    )
    compiled = render(stored, [0, 1, 2], Keys(RING), eight_bit=True)
    monkeypatch.setattr(fast_path, "IS_COMPILED", False)
    assert render(stored, [0, 1, 2], Keys(RING), eight_bit=True) == compiled
    assert [rendered.notes.get("tracking", "on") for rendered in compiled] == ["on", "off", "on"]
