"""HTML that was below the size at which Gmail cuts it off stays below it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rewrite.clipping import LIMIT, exceeds_limit_by_rewriting, exceeds_limit_by_texts, fit
from relay.rewrite.encoding import decode, encode_base64, encode_quoted_printable, quote
from relay.rewrite.fast_path import analyse_fast, apply_fast
from relay.rewrite.message import Rewritten, rewrite
from relay.rewrite.mime import walk
from relay.rewrite.native import IS_COMPILED
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring, Kind, verify_token
from relay.rewrite.url_compression import compress, decompress

TRACKING = Tracking(base_url="https://t.acme.test")
RING = Keyring((("k1", b"k" * 32),))
QUEUE_ID = "1M8Q692J9F20B4"
LINKS = [
    f"https://shop.acme.test/item-{n}?utm_source=newsletter&amp;utm_medium=email&amp;uid=8f14e45{n}" for n in range(100)
]
ENCODINGS = ("8bit", "quoted-printable", "base64")


def html(size: int, links: list[str] = LINKS) -> bytes:
    """Return HTML of exactly that size with the links."""
    start = "".join(f'<p><a href="{link}">x</a></p>\r\n' for link in links).encode()
    end = b"</body></html>\r\n"
    filled = (b"<p>" + b"y" * 70 + b"</p>\r\n") * (size // 79)
    room = size - len(b"<html><body>") - len(start) - len(end)
    filled = filled[: room // 79 * 79]
    return b"<html><body>" + start + filled + b"z" * (room - len(filled)) + end


def message(body: bytes, encoding: str) -> bytes:
    encoded = {"8bit": body, "quoted-printable": encode_quoted_printable(body) or b"", "base64": encode_base64(body)}
    head = f"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + encoded[encoding]


def sizes(content: bytes, result: Rewritten) -> tuple[int, int]:
    return decoded_size(content), decoded_size(result.content)


def decoded_size(content: bytes) -> int:
    (part,) = walk(content)
    return len(decode(part.encoding, content[part.body : part.end]) or b"")


def run(content: bytes, recipient: int = 0) -> Rewritten:
    return rewrite(content, TRACKING, RING, QUEUE_ID, recipient)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_short_tokens_keep_it_below(encoding: str) -> None:
    content = message(html(LIMIT - 4_000), encoding)
    result = run(content)
    before, after = sizes(content, result)
    assert before < after <= LIMIT
    assert (result.tracked_count, result.pixel) == (100, True)
    assert result.size == "part 1: links have short tokens: Gmail cuts HTML off at 102400 octets"
    targets = [verify_token(RING, Kind.CLICK, link.url.rpartition("/")[2]) for link in result.links]
    assert [one.target for one in targets if one] == [link.replace("&amp;", "&") for link in LINKS]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_links_that_grow_most_are_left_out_and_the_pixel_at_last(encoding: str) -> None:
    links = ["https://e.test/", *LINKS]
    content = message(html(LIMIT - 1_000, links), encoding)
    result = run(content)
    assert sizes(content, result)[1] <= LIMIT
    assert result.pixel
    assert 0 < result.tracked_count < 101
    assert (result.links[0].tracked, result.links[0].reason) == (
        False,
        "Gmail would cut the mail off, because its HTML would become too large",
    )
    assert f"{101 - result.tracked_count} of 101 links are not tracked" in result.size

    full = message(html(LIMIT, links), encoding)
    whole = run(full)
    assert whole.content == full
    assert (whole.tracked_count, whole.pixel) == (0, False)
    assert whole.size.startswith("part 1: 101 of 101 links are not tracked, there is no pixel: ")


def test_what_is_too_large_already_is_tracked_as_ever() -> None:
    result = run(message(html(LIMIT + 1), "8bit"))
    assert (result.tracked_count, result.pixel, result.size) == (100, True, "")


def test_small_mail_has_long_tokens() -> None:
    content = message(html(50_000), "8bit")
    assert run(content).size == ""


@pytest.mark.skipif(not IS_COMPILED, reason="the compiled code is not built: make native")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [50_000, LIMIT - 17_000, LIMIT - 10_000, LIMIT - 1, LIMIT, LIMIT + 1, 120_000])
def test_the_fast_path_leaves_it_to_its_twin(encoding: str, size: int) -> None:
    content = message(html(size), encoding)
    plan = analyse_fast(content, TRACKING, walk(content))
    assert plan is not None
    fast = apply_fast(plan, content, RING, QUEUE_ID, 300)
    slow = run(content, 300)
    assert (fast is None) == bool(slow.size)
    assert fast is None or fast.content == slow.content


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=9), st.integers(0, 900))
def test_the_rest_fits(ranges: list[tuple[int, int]], room: int) -> None:
    widths, texts = [width for width, _ in ranges], [b"x" * length for _, length in ranges]
    size = LIMIT - room
    is_link = [number > 0 for number in range(len(ranges))]
    fitted = fit(size, widths, texts, is_link)
    if exceeds_limit_by_texts(size, widths, texts):
        growth = [length - width for width, length in ranges]
        left_out = [one for one, text in zip(growth, fitted.texts, strict=True) if text is None]
        whole = size + sum(growth) - sum(left_out)
        assert whole <= LIMIT
        assert all(whole + one > LIMIT for one in left_out), "all that fits is put in"
        least = size + sum(one for one in growth if one < 0)
        assert fitted.texts[0] is not None or least + growth[0] > LIMIT, "links make room for the pixel"


def test_quoted_printable_counts_decoded() -> None:
    before = quote(b"=" * (LIMIT - 10), 0, 0)[0]
    assert not exceeds_limit_by_rewriting(before, before + b"x" * 10, quoted=True)
    assert exceeds_limit_by_rewriting(before, before + b"x" * 11, quoted=True)
    assert not exceeds_limit_by_rewriting(before, before + b"x" * 11, quoted=False)


@given(st.binary(max_size=500))
def test_compression_loses_nothing(target: bytes) -> None:
    assert decompress(compress(target)) == target


@given(st.binary(max_size=200))
def test_no_octets_are_too_much_for_decompression(octets: bytes) -> None:
    decompress(octets)
    assert decompress(compress(octets) + b"x") is None
    assert decompress(compress(b"a" * 70_000)) is None


def test_what_was_sent_can_always_be_read() -> None:
    assert (
        decompress(bytes.fromhex(SENT))
        == b"https://shop.acme.test/item-1?utm_source=newsletter&utm_medium=email&uid=8f14e45"
    )


SENT = "43313731393755af24159855412587ae21d13102f4a7459aa149aa892900"
"""A compressed target. The dictionary must never change."""


def test_a_link_comes_back_where_the_pixel_left_room() -> None:
    link, pixel = b"l" * 100, b"p" * 400
    fitted = fit(LIMIT - 150, (30, 0), (link, pixel), (True, False))
    assert fitted.texts == (link, None)
    assert fitted.note.startswith("links have short tokens, there is no pixel")
