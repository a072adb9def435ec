import pytest

from relay.mail.headers import body_start, fields, first_value, named, unfold, without

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
