"""Every Content-Type that RFC 2045, 2231 and 5322 allow for a multipart is read, however it is written."""

from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from relay.rewrite.mime import walk

BOUNDARY_CHARACTERS = "09azAZ'()+_,-./:=? "
TOKEN_CHARACTERS = frozenset("09azAZ'+_-.")

comments = st.recursive(
    st.lists(st.sampled_from(["a", ";", r"\)", '"', "=", " boundary=z", "é"]), max_size=4).map("".join),
    lambda inner: st.tuples(inner, inner).map(lambda pair: f"{pair[0]}({pair[1]})"),
    max_leaves=3,
).map("({})".format)

blanks = st.lists(st.one_of(st.sampled_from([" ", "\t", "\r\n ", "\r\n\t "]), comments), max_size=3).map("".join)

boundaries = st.text(BOUNDARY_CHARACTERS, min_size=1, max_size=70).filter(lambda text: not text.endswith(" "))


def any_case(draw: st.DrawFn, text: str) -> str:
    return "".join(draw(st.sampled_from([one.lower(), one.upper()])) for one in text)


def quoted(draw: st.DrawFn, text: str) -> str:
    escaped = draw(st.sets(st.integers(0, len(text)), max_size=3))
    return '"' + "".join("\\" + one if one in '"\\' or at in escaped else one for at, one in enumerate(text)) + '"'


def percent(text: str) -> str:
    return quote(text, safe="").replace("'", "%27")


def parameter(draw: st.DrawFn, name: str, value: str) -> list[str]:
    """Return one parameter, in one or two pieces."""
    name, around = any_case(draw, name), f"{draw(blanks)}={draw(blanks)}"
    cut = draw(st.integers(1, len(value)))
    match draw(st.sampled_from(["quoted", "token", "sections", "encoded", "encoded sections"])):
        case "token" if set(value) <= TOKEN_CHARACTERS:
            return [f"{name}{around}{value}"]
        case "sections":
            return [f"{name}*0{around}{quoted(draw, value[:cut])}", f"{name}*1={quoted(draw, value[cut:])}"]
        case "encoded":
            return [f"{name}*=us-ascii'en'{percent(value)}"]
        case "encoded sections":
            return [f"{name}*0*=us-ascii''{percent(value[:cut])}", f"{name}*1={quoted(draw, value[cut:])}"]
    return [f"{name}{around}{quoted(draw, value)}"]


@st.composite
def content_types(draw: st.DrawFn) -> tuple[str, str]:
    """A Content-Type value of a multipart, and its boundary."""
    boundary = draw(boundaries)
    written = parameter(draw, "boundary", boundary)
    written += parameter(draw, "x-other", draw(st.sampled_from(["a", 'q"; boundary=no\\', "(no comment)"])))
    written = draw(st.permutations(written))
    value = f"{draw(blanks)}{any_case(draw, 'multipart')}/{any_case(draw, 'mixed')}{draw(blanks)}"
    value += "".join(f";{draw(blanks)}{one}{draw(blanks)}" for one in written)
    return value + draw(st.sampled_from(["", ";", " ; "])), boundary


@given(content_types())
def test_every_legal_multipart_is_read(written: tuple[str, str]) -> None:
    value, boundary = written
    assume("\r\n\r\n" not in value)
    content = (
        f"Content-Type:{value}\r\n\r\npreamble\r\n--{boundary} \t\r\nContent-Type: text/html\r\n\r\n<p>\r\n"
        f"--{boundary}\r\n--{boundary}\r\n\r\n\r\n--{boundary}--\r\nepilogue\r\n--{boundary}\r\n"
    ).encode("latin-1")

    parts = walk(content)
    assert [(part.content_type, part.fault) for part in parts] == [
        ("multipart/mixed", ""),
        ("text/html", ""),
        ("text/plain", ""),
        ("text/plain", ""),
    ]
    assert parts[0].parameters.parameters["boundary"] == boundary
