"""Answers of renderers: what is right comes through, anything else is a FrameError and no other exception."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.render.frames import BLOCK, COMPARED, LENGTH, FrameError, answer_frame, read_answer
from relay.render.message import RenderedContent

TEXTS = st.text(max_size=50).filter(str.isprintable)
NOTES = st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.integers(0, 10**6), st.lists(TEXTS, max_size=5)))


@given(st.lists(st.tuples(st.binary(max_size=300), NOTES), max_size=4))
def test_an_answer_comes_through(renderings: list[tuple[bytes, dict[str, object]]]) -> None:
    rendered = [RenderedContent(content, notes) for content, notes in renderings]
    frame = answer_frame(rendered)
    assert read_answer(frame[LENGTH:], len(renderings)) == rendered
    with pytest.raises(FrameError):
        read_answer(frame[LENGTH:], len(renderings) + 1)


@given(st.binary(max_size=3), st.sampled_from([0, 1, BLOCK - 1, BLOCK, COMPARED + 5]), st.lists(st.binary(max_size=4)))
def test_a_content_that_ends_as_its_message_comes_through(start: bytes, size: int, changed: list[bytes]) -> None:
    content = start + b"".join(map(int.to_bytes, range(256))) * (size // 256) + bytes(size % 256)
    rendered = [RenderedContent(one + content[len(one) :], {}) for one in changed]
    rendered += [RenderedContent(one + content, {}) for one in changed]
    rendered += [RenderedContent(content[len(one) :], {}) for one in changed]
    frame = answer_frame(rendered, content)
    assert read_answer(frame[LENGTH:], len(rendered), content) == rendered
    assert len(frame) < 200 + len(rendered) * (BLOCK + 20) or size < COMPARED, "an end was sent back"


@given(st.binary(max_size=200))
def test_octets_are_an_answer_or_a_frame_error(octets: bytes) -> None:
    try:
        read_answer(octets, 1)
    except FrameError:
        return


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)


@given(JSON, st.lists(st.binary(max_size=20), max_size=3), st.integers(0, 3), st.integers(-1, 1))
def test_any_head_is_an_answer_or_a_frame_error(head: object, contents: list[bytes], count: int, off: int) -> None:
    strings = [json.dumps(head).encode(), *contents]
    numbers = [len(strings) + off, *map(len, strings)]
    octets = struct.pack(f">{len(numbers)}I", *numbers) + b"".join(strings)
    for body in (octets, memoryview(octets)):
        try:
            read_answer(body, count, b"content")
        except FrameError:
            continue
