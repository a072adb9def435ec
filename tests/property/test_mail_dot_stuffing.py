from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relay.mail.dot_stuffing import DotDecoder, LineEndDecoder, normalise, stuffed, stuffed_piece

NASTY = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"a", b"\0", b"\xff"])).map(
    b"".join
)

CUTS = st.lists(st.integers(0, 80))


def blocks(wire: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(wire), *(cut for cut in cuts if cut <= len(wire))})
    return (wire[start:end] for start, end in pairwise(places))


def decode(wire: bytes, cuts: list[int]) -> tuple[bytes, bool, bytes]:
    decoder, content, rest = DotDecoder(), b"", b""
    for block in blocks(wire, cuts):
        if decoder.finished:
            rest += block
        else:
            content += decoder.feed(block)
            rest = decoder.rest
    return content, decoder.finished, rest


@given(NASTY, CUTS)
def test_where_the_stream_is_cut_never_changes_the_result(wire: bytes, cuts: list[int]) -> None:
    wire += b"\r\n.\r\nQUIT\r\n"
    assert decode(wire, cuts) == decode(wire, [])


@given(NASTY)
def test_every_single_cut_decodes_to_the_same_content(wire: bytes) -> None:
    wire += b"\r\n.\r\n"
    assert {decode(wire, [cut]) for cut in range(len(wire) + 1)} == {decode(wire, [])}


@given(NASTY)
def test_the_first_end_ends_and_no_other(wire: bytes) -> None:
    wire = b"a" + wire + b"\r\n.\r\n"
    content, finished, rest = decode(wire, [])
    assert finished
    assert wire.endswith(rest)
    assert b"\r\n.\r\n" not in wire[: len(wire) - len(rest) - 1]
    assert content.endswith(b"\r\n")


@given(NASTY)
def test_content_has_crlf_line_ends_only(wire: bytes) -> None:
    content, _, _ = decode(wire + b"\r\n.\r\n", [])
    assert content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")


@given(NASTY, CUTS)
def test_what_delivery_stuffs_comes_out_the_same(content: bytes, cuts: list[int]) -> None:
    content = normalise(content + b"\r\n")
    assert decode(b"".join(stuffed(content)), cuts) == (content, True, b"")


@given(NASTY, CUTS)
def test_a_content_is_stuffed_piece_by_piece_as_at_once(content: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    sent, before = b"", b"\r\n"
    for start, end in pairwise(bounds):
        sent += stuffed_piece(content[start:end], before)
        before = (before + content[start:end])[-2:]
    whole = b"".join(stuffed(content))
    assert whole.startswith(sent)
    assert whole[len(sent) :] in (b".\r\n", b"\r\n.\r\n")


@given(NASTY)
def test_normalising_twice_is_normalising_once(content: bytes) -> None:
    assert normalise(normalise(content)) == normalise(content)


@given(NASTY, CUTS)
def test_chunks_of_any_size_are_one_content(content: bytes, cuts: list[int]) -> None:
    decoder = LineEndDecoder()
    whole = b"".join(decoder.feed(block) for block in blocks(content, cuts)) + decoder.finish()
    expected = normalise(content)
    assert whole == (expected if expected.endswith(b"\r\n") or not expected else expected + b"\r\n")
