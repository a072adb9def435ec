"""Lines of a header: folded, dropped or named as a fault."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.header_lines import (
    LINE_LIMIT,
    fold,
    fold_fields,
    line_fault,
    stray_line,
    with_header_end,
    without_mbox_lines,
)
from relay.mail.headers import fields
from relay.mailauth.dkim_sign import relaxed_header
from tests.growth import assert_linear

IDS = b" ".join(b"<%032d@threads.example>" % number for number in range(40))
NAMES = b", ".join(b'"Doe, Jo %d" <jo%d@there.test>' % (number, number) for number in range(60))


def lines(field: bytes) -> list[bytes]:
    return field.removesuffix(b"\r\n").split(b"\r\n")


@pytest.mark.parametrize(
    "field", [b"References: " + IDS + b"\r\n", b"To: " + NAMES + b"\r\n", b"X:\r\n " + IDS + b"\t\r\n"]
)
def test_a_long_line_is_folded_at_blanks_that_are_there(field: bytes) -> None:
    folded = fold(field)
    assert folded is not None
    assert max(map(len, lines(folded))) <= LINE_LIMIT
    assert relaxed_header(b"x", folded) == relaxed_header(b"x", field)
    assert folded.count(b"\r\n") - field.count(b"\r\n") == len(field) // LINE_LIMIT


def test_blanks_outside_quoted_strings_are_preferred() -> None:
    folded = fold(b'Content-Type: a/b; x="' + b"y" * 500 + b'"; boundary="' + b"a b" * 200 + b'"\r\n')
    assert folded is not None
    assert [line.split(b"=")[0] for line in lines(folded)] == [b"Content-Type: a/b; x", b" boundary"]
    only = fold(b'X: "' + b"a b" * 500 + b'"\r\n')
    assert only is not None
    assert len(lines(only)) == 2


@pytest.mark.parametrize(
    "field",
    [
        b"X: " + b"a" * 999 + b"\r\n",
        b"X:" + b" " * 999 + b"\r\n",
        b"X: a" + b" " * 3000 + b"b\r\n",
        b"X" * 999 + b": a\r\n",
    ],
)
def test_without_a_blank_to_fold_at_the_field_is_at_fault(field: bytes) -> None:
    found = fields(field)
    assert fold(field) is None
    assert "has a line of more than 998 octets" in line_fault(field, found, found, stray_line(field, found))
    assert line_fault(field, found, [], stray_line(field, found)) == "", "a field that is removed cannot be too long"
    assert fold_fields(field, found) is field


@given(
    st.lists(st.sampled_from([b"a" * 300, b" ", b"\t", b'"', b"\\", b"b\r\n c", b"\xff"]), max_size=40).map(b"".join)
)
def test_folding_changes_nothing_but_folds(value: bytes) -> None:
    field = b"X: " + value + b"\r\n"
    folded = fold(field)
    if folded is not None:
        assert re.sub(rb"\r\n(?=[ \t])", b"", folded) == re.sub(rb"\r\n(?=[ \t])", b"", field)
        assert max(map(len, lines(folded))) <= LINE_LIMIT
        assert all(line.strip() for line in set(lines(folded)) - set(lines(field)))


@pytest.mark.parametrize("value", [b" a" * 100_000, b" " * 200_000, b'" "' * 70_000, b"\t\\" * 100_000])
def test_folding_takes_linear_time(value: bytes) -> None:
    assert_linear(lambda size: fold(b"X: " + value[:size] + b"\r\n"), int, len(value))


@given(
    st.lists(
        st.sampled_from([b"a" * 300, b"a", b" ", b"\t", b'"', b"\\", b"b\r\n c", b"\xff", b"a" * 499]), max_size=40
    ).map(b"".join)
)
def test_a_field_is_at_fault_exactly_when_it_cannot_be_folded(value: bytes) -> None:
    field = b"X: " + value + b"\r\n"
    found = fields(field)
    assert (line_fault(field, found, found, stray_line(field, found)) == "") is (fold(field) is not None)


@pytest.mark.parametrize(
    ("text", "is_fault"),
    [(b'" ', False), (b"a ", False), (b'"a" ', False), (b'"a b c" <a@e.test>, ', False), (b" ", True), (b"a", True)],
)
def test_long_fields_are_checked_in_a_moment_and_accepted_up_to_the_size_of_a_header(
    text: bytes, is_fault: bool
) -> None:
    """The event loop checks them. Fields of more than 64 KiB were refused, because they were folded for the check."""

    def checked(content: bytes) -> bool:
        found = fields(content)
        return bool(line_fault(content, found, found, stray_line(content, found)))

    def field_of(times: int) -> bytes:
        return b"X: " + text * times + b"z\r\n\r\nbody"

    assert checked(field_of(250_000 // len(text))) is is_fault
    assert_linear(checked, field_of, 250_000 // len(text))


def test_other_fields_stay_the_same_bytes() -> None:
    before, after = b"A: b\r\n", b"C: d\r\n e\r\n\r\n" + b"x" * 2000
    content = before + b"References: " + IDS + b"\r\n" + after
    assert fold_fields(content, fields(content)) == before + (fold(b"References: " + IDS + b"\r\n") or b"") + after
    assert fold_fields(before + after, fields(before + after)) == before + after


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"A: b\r\nFrom me Mon Nov 30 10:00:00 2026\r\nC: d\r\n\r\nbody\r\n", "From me Mon Nov 30 10:00:00 2026"),
        (b"A: b\r\nno field\r\nC: d\r\n\r\nbody\r\n", "no field"),
        (b"f\xc3\xbcr: x\r\n\r\n", r"f\xfcr: x"),
        (b": x\r\n\r\n", ": x"),
        (b"hello\r\nworld\r\n", "hello"),
        (b"x" * 500 + b"\r\n\r\n", "x" * 60),
    ],
)
def test_a_line_that_is_no_field_is_named(content: bytes, line: str) -> None:
    found = fields(content)
    fault = line_fault(content, found, found, stray_line(content, found))
    assert fault.startswith(f'The header has a line that is no field: "{line}"')


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"\r\nbody", b"A: b", b"A: b\r\n", b"A :b\r\n \r\n c\r\n\r\nbody", b"A:\r\n\r\n"]
)
def test_a_header_of_fields_has_no_fault(content: bytes) -> None:
    assert line_fault(content, fields(content), fields(content), stray_line(content, fields(content))) == ""


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"A: b\r\n", b"body without an empty line"),
        (b"A: b\r\n", b"<p>no field</p>\r\n\r\nC: d\r\n"),
        (b"A: b\r\n c\r\n", b"This is MIME\r\n--x\r\nContent-Type: text/html\r\n\r\nhello\r\n--x--\r\n"),
        (b"A: b\r\n", b"--x\r\nContent-Type: text/html\r\n\r\nhello\r\n--x--\r\n"),
    ],
)
def test_a_line_that_no_field_follows_begins_the_body(header: bytes, body: bytes) -> None:
    content = header + body
    found = fields(content)
    assert line_fault(content, found, found, stray_line(content, found)) == ""
    ended = with_header_end(content, found)
    assert ended == header + b"\r\n" + body
    assert with_header_end(ended, fields(ended)) is ended


def test_content_that_begins_with_a_blank_has_no_header() -> None:
    content = b"   \r\nA: b\r\n\r\nbody\r\n"
    assert line_fault(content, fields(content), fields(content), stray_line(content, fields(content))) == ""
    assert with_header_end(content, fields(content)) is content


@pytest.mark.parametrize(
    "line", [b"From me@acme.test Mon Nov 30 10:00:00 2026", b">From - Mon", b"From a\r\n>From b: c"]
)
def test_lines_of_an_mbox_in_front_are_dropped(line: bytes) -> None:
    assert without_mbox_lines(line + b"\r\nFrom: a@acme.test\r\n\r\nbody") == b"From: a@acme.test\r\n\r\nbody"


@pytest.mark.parametrize(
    "content", [b"From: a\r\n\r\n", b"From : a\r\n\r\n", b"From \t: a\r\n\r\n", b"From", b"A: b\r\nFrom x\r\n"]
)
def test_all_else_in_front_stays(content: bytes) -> None:
    assert without_mbox_lines(content) is content


@pytest.mark.parametrize(
    "line",
    [
        b"From jo@there.test Tue Nov 24 10:00:00 2026\r\n",
        b">From jo@there.test Tue Nov  4 10:00:00 2026 remote from there\r\n",
        b"From - Tue Nov 24 10:00:00 2026\r\n",
        b"From jo@there.test  Tue Nov 24 10:00 +0100 2026\r\n\tby hand\r\n",
    ],
)
def test_a_dated_line_of_an_mbox_behind_a_field_goes_too(line: bytes) -> None:
    before, after = (
        b"Return-Path: <jo@there.test>\r\n",
        b"Subject: s\r\n\r\nFrom jo@there.test Tue Nov 24 10:00:00 2026\r\n",
    )
    assert without_mbox_lines(before + line + after) == before + after
    assert without_mbox_lines(before + line + line + after) == before + after
    assert without_mbox_lines(line + before + after) == before + after


@pytest.mark.parametrize(
    "line", [b"From here on all is well\r\n", b"From Tue Nov 24 2026\r\n", b" From jo@x Tue Nov 24 10:00:00 2026\r\n"]
)
def test_other_lines_behind_a_field_stay(line: bytes) -> None:
    content = b"Subject: s\r\n" + line + b"To: jo@there.test\r\n\r\nbody\r\n"
    assert without_mbox_lines(content) is content


@pytest.mark.parametrize("lines", [b"From jo@there.test Tue ", b"From x Tue Nov 24 10:00:00 2026\r\n \r\n"])
def test_many_such_lines_take_linear_time(lines: bytes) -> None:
    assert_linear(without_mbox_lines, lambda times: b"A: b\r\n" + lines * times + b"\r\n\r\n", 1_000_000 // len(lines))
