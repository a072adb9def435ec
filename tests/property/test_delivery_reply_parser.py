"""The reply reader, however the bytes fall."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.reply_parser import MAX_LINE, MalformedReply, ReplyReader
from relay.mail.reply import Reply

texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=60)

replies = st.builds(
    lambda code, lines: b"".join(
        f"{code}{'-' if index < len(lines) - 1 else ' '}{line}\r\n".encode() for index, line in enumerate(lines)
    ),
    st.integers(200, 599),
    st.lists(texts, min_size=1, max_size=5),
)


def fed(data: bytes, cuts: list[int]) -> list[Reply | MalformedReply]:
    reader = ReplyReader()
    found: list[Reply | MalformedReply] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        found += reader.feed(data[start:end])
    return found


@given(st.lists(replies, max_size=6), st.lists(st.integers(0, 10_000), max_size=8))
def test_every_reply_is_found_wherever_the_packets_end(parts: list[bytes], cuts: list[int]) -> None:
    found = fed(b"".join(parts), cuts)
    assert [reply.code for reply in found if isinstance(reply, Reply)] == [int(part[:3]) for part in parts]
    assert found == fed(b"".join(parts), [])


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=8))
def test_whatever_comes_the_packets_do_not_matter_and_nothing_is_kept_without_bound(
    data: bytes, cuts: list[int]
) -> None:
    found = fed(data, cuts)
    assert found == fed(data, [])
    assert all(isinstance(reply, Reply) for reply in found[:-1])
    for reply in found:
        if isinstance(reply, Reply):
            assert 200 <= reply.code <= 599
            assert all(character.isprintable() or character == "\n" for character in reply.text)


@given(st.binary(min_size=1, max_size=300))
def test_the_reader_holds_a_bounded_amount(data: bytes) -> None:
    reader = ReplyReader()
    for _ in range(300):
        reader.feed(data)
    assert len(reader._buffer) <= MAX_LINE
