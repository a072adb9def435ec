"""Parts as byte ranges."""

import pytest

from relay.rewrite.mime import MAX_PARTS, walk
from relay.rewrite.mime_parameters import parse

NESTED = (
    b'Content-Type: multipart/mixed; boundary="a b"\r\n\r\npreamble\r\n--a b\r\n'
    b"Content-Type: multipart/alternative; boundary=a\r\n\r\n"
    b"--a\r\n\r\nplain\r\n--a \t\r\nContent-Type: TEXT/HTML; charset=UTF-8\r\n\r\n<p>\r\n--ab\r\n--a--\r\nepilogue\r\n"
    b"--a b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<p>in\r\n"
    b"--a b--\r\nafter\r\n"
)


def test_paths_types_and_bodies() -> None:
    found = [(part.path, part.content_type, NESTED[part.body : part.end]) for part in walk(NESTED) if part.is_leaf]
    assert found == [
        ("1.1", "text/plain", b"plain"),
        ("1.2", "text/html", b"<p>\r\n--ab"),
        ("2", "text/html", b"<p>in"),
    ]
    assert [part.is_enclosed for part in walk(NESTED)] == [False] * 5 + [True]
    assert not any(part.fault for part in walk(NESTED))


def test_a_part_without_closing_delimiter_reaches_to_the_end() -> None:
    content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n"
    assert [content[part.body : part.end] for part in walk(content)[1:]] == [b"one", b"two\r\n"]


def test_adjacent_delimiters_enclose_nothing() -> None:
    content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n\r\n--x--\r\n"
    assert [(part.start, part.body, part.end) for part in walk(content)[1:]] == [(50, 50, 50), (55, 55, 55)]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (b"Content-Type: multipart/mixed\r\n", "multipart without a boundary"),
        (b"Content-Type: multipart/mixed; boundary=y\r\n", "boundary never found"),
        (b"Content-Type: multipart/mixed; boundary=x; boundary=x\r\n", "Content-Type not understood"),
        (b"Content-Type: html\r\n", "Content-Type not understood"),
        (b'Content-Type: text/html; charset="utf-8\r\n', "Content-Type not understood"),
        (b"Content-Type: text/html; what\r\n", "Content-Type not understood"),
        (b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 8bit\r\n", "given twice"),
        (
            b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n",
            "multipart with a transfer encoding",
        ),
        (b'Content-Type: multipart/mixed; boundary="x\r\n y"\r\n', "boundary never found"),
        (b"Content-Type: multipart/mixed; boundary=x; boundary*=us-ascii''y\r\n", "Content-Type not understood"),
        (b"Content-Type: multipart/mixed; boundary*0=x; boundary*2=y\r\n", "Content-Type not understood"),
        (b"From me\r\n", "not a field"),
    ],
)
def test_each_broken_structure_has_its_fault(header: bytes, fault: str) -> None:
    assert fault in walk(header + b"\r\n--x\r\n\r\nbody\r\n--x--\r\n")[-1].fault


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_fold_in_a_boundary_is_ambiguous_if_another_reading_is_found_too(blank: str) -> None:
    header = f'Content-Type: multipart/mixed; boundary="x\r\n{blank}y"\r\n\r\n'.encode()
    body = f"--x{blank}y\r\n\r\nbody\r\n--x{blank}y--\r\n".encode()
    assert [part.fault for part in walk(header + body)] == ["", ""]
    assert walk(header + b"--xy\r\n" + body)[-1].fault == "multipart with a folded boundary"
    other = f"--x{' ' if blank == chr(9) else ''}y\r\n".encode()
    assert walk(header + other + body)[-1].fault == "multipart with a folded boundary"


def test_a_field_may_be_folded_beside_a_boundary_with_blanks() -> None:
    header = b'Content-Type: multipart/mixed; charset="a\r\n b";\r\n\tBoundary=\r\n "x y" (c)\r\n'
    assert not any(part.fault for part in walk(header + b"\r\n--x y\r\n\r\nbody\r\n--x y--\r\n"))


def test_depth_and_number_are_capped() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(50))
    assert walk(deep)[-1].fault == "nested too deeply"
    wide = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 5000
    assert len(walk(wide)) == MAX_PARTS + 1


@pytest.mark.parametrize(
    ("raw", "value", "parameters", "clear"),
    [
        (b"text/html", "text/html", {}, True),
        (b"Text / HTML ;Charset = UTF-8 ;", "text/html", {"charset": "UTF-8"}, True),
        (b"text/html (a (nested) ; comment); charset=x (y)", "text/html", {"charset": "x"}, True),
        (b'a/b; c="d; e=\\"f\\" (g)"', "a/b", {"c": 'd; e="f" (g)'}, True),
        (b"a/b; boundary=----=_Part_1", "a/b", {"boundary": "----=_Part_1"}, True),
        (b"a/b; n*0=x; n*1*=%20y; n*2=z", "a/b", {"n": "x yz"}, True),
        (b"a/b; n*=utf-8'en'a%20b", "a/b", {"n": "a b"}, True),
        (b"a/b; name=x; name*=utf-8'en'%20", "a/b", {"name": "x"}, True),
        (b"a/b; charset=x; charset*=us-ascii''x", "a/b", {"charset": "x"}, True),
        (b"a/b; charset=x; charset*=us-ascii''y", "a/b", {"charset": "x"}, False),
        (b"a/b; c=1; c=2", "a/b", {"c": "1"}, False),
        (b'a/b; c="1', "a/b", {"c": "1"}, False),
        (b"", "", {}, True),
    ],
)
def test_values_with_parameters_are_parsed(raw: bytes, value: str, parameters: dict[str, str], clear: bool) -> None:
    parsed = parse(raw)
    assert (parsed.value, dict(parsed.parameters), parsed.clear) == (value, parameters, clear)
