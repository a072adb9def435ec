import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.headers import body_start, count_fields, fields, first_value, header_fault, named, unfold, without

MESSAGE = (
    b"Received: from a\r\n\tby b\r\nSubject : hi\r\n there\r\nnonsense\r\n"
    b"TO: x@y.test\r\nto: z@y.test\r\n\r\nbody: no\r\n"
)


def test_fields_are_ranges_of_the_bytes() -> None:
    found = fields(MESSAGE)
    assert [field.name for field in found] == [b"received", b"subject", b"to", b"to"]
    assert found[0].raw(MESSAGE) == b"Received: from a\r\n\tby b\r\n"
    assert found[1].value(MESSAGE) == b"hi there"
    assert MESSAGE[body_start(MESSAGE) :] == b"body: no\r\n"


def test_a_field_is_found_by_name() -> None:
    found = fields(MESSAGE)
    assert first_value(MESSAGE, found, b"to") == b"x@y.test"
    assert first_value(MESSAGE, found, b"cc") is None
    assert len(list(named(found, b"to"))) == 2


def test_removing_fields_leaves_every_other_byte() -> None:
    found = fields(MESSAGE)
    assert without(MESSAGE, named(found, b"to")) == MESSAGE.replace(b"TO: x@y.test\r\nto: z@y.test\r\n", b"")
    assert without(MESSAGE, []) == MESSAGE


@pytest.mark.parametrize(
    ("content", "start"), [(b"\r\nbody", 2), (b"A: b\r\n\r\nbody", 8), (b"A: b\r\n", 6), (b"", 0), (b"A: b", 4)]
)
def test_the_body_begins_after_the_first_empty_line(content: bytes, start: int) -> None:
    assert body_start(content) == start


def test_unfolding_keeps_the_blank() -> None:
    assert unfold(b" a\r\n\tb\r\n  c\r\n") == b"a\tb  c"


_LINES = st.lists(st.sampled_from([b"a:", b"B: c", b" folded", b"\tfolded", b"nonsense", b" ", b"a: \r b"]), max_size=8)


@given(_LINES, st.sampled_from([b"", b"\r\n", b"\r\nbody", b"\r\n b: c\r\n", b"\r\n\r\na: b\r\n"]))
def test_no_fewer_fields_are_counted_than_there_are(lines: list[bytes], rest: bytes) -> None:
    content = b"".join(line + b"\r\n" for line in lines) + rest
    stop = body_start(content)
    starts = sum(1 for number, line in enumerate(lines) if number == 0 or line[:1] not in (b" ", b"\t"))
    assert count_fields(content, stop) >= len(fields(content))
    if rest.startswith(b"\r\n") or not rest:
        assert count_fields(content, stop) == starts


@pytest.mark.parametrize("rest", [b"", b"\r\n", b"\r\nbody: no\r\nbody: no\r\n"])
def test_a_header_has_limits_of_size_and_number(rest: bytes) -> None:
    header = b"a: b\r\n" * 9 + b"c: d\r\n e\r\n"
    size = len(header) + len(rest[:2])
    assert header_fault(header + rest, size, 10) == ""
    assert header_fault(header + rest, size - 1, 10) == (
        f"The header of the message is larger than the {size - 1} octets allowed here"
    )
    assert header_fault(header + rest, size, 9) == "The header of the message has more than the 9 fields allowed here"
