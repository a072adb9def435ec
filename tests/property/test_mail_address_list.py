"""Address lists and canonical forms, whatever is written, and compared with Python's own reader of address fields."""

from hypothesis import example, given
from hypothesis import strategies as st

from relay.mail.address import MAX_LOCAL_PART, is_address
from relay.mail.address_list import Unreadable, parse_address_list, parse_by_grammar
from relay.mail.canonical_address import canonical, quoted_if_needed
from tests.fuzz.python_reading import seen_by_python

PIECES = [
    *"@<>,:;()\"\\ \t.[]=?'`\u200b\x0b\x80",
    "\r\n ",
    "a",
    "ceo",
    "acme.test",
    "b.c",
    "Name",
    "é",
    "ü.de",
    "@ｂ.test",
]

PIECES += [
    "[127.0.0.1]",
    "=?utf-8?q?x=40y.test?=",
    "=?utf-8?q?x?=",
    "<a@b.test>",
    "a@b.test",
    '"q s"',
    "\udcff",
    "xn--",
]

values = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)

atoms = st.text("abcXYZ019!#$%&'*+-/^_`{|}~é", min_size=1, max_size=6)

contents = st.one_of(
    st.lists(atoms, min_size=1, max_size=3).map(".".join), st.text('ab "\\@<>(),;:.[]é', max_size=8)
).filter(lambda text: text == "" or text.isprintable())

domains = st.sampled_from(
    ["acme.test", "Acme.Test.", "b-c.d_e.test", "bücher.test", "[192.0.2.1]", "[IPv6:2001:DB8::1]"]
)

blanks = st.sampled_from(["", " ", "\t", "\r\n ", "(c)", " (a (b) \\) c) ", "\r\n\t(x@y.test,)"])

names = st.sampled_from(["", "Name", "John Q. Public", '"Lee, Ann <x@y.test>"', "=?utf-8?q?x=40y.test?=", "Jörg"])


@st.composite
def mailboxes(draw: st.DrawFn) -> tuple[str, str]:
    """Return a mailbox in one of its spellings, and the address it has."""
    content, domain = draw(contents), draw(domains)
    plain = quoted_if_needed(content)
    quoted = '"' + "".join("\\" + char if char in '"\\' or draw(st.booleans()) else char for char in content) + '"'
    local = draw(st.sampled_from([plain, quoted]))
    spec = draw(blanks).join([local, "@", domain])
    route = draw(st.sampled_from(["", "@a.test:", "@a.test,,@b.test:"]))
    angle = draw(blanks).join([draw(names), "<", route, spec, ">"])
    return draw(st.sampled_from([spec, angle])), f"{plain}@{domain}"


@st.composite
def lists(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Return an address list with groups and empty elements, and the addresses it has."""
    written, found = [], []
    for members in draw(st.lists(st.lists(mailboxes(), max_size=2), max_size=3)):
        text = ",".join(one for one, _ in members)
        written.append(f"Group {draw(blanks)}: {text};" if draw(st.booleans()) else text)
        found += [address for _, address in members]
    return draw(blanks) + f",{draw(blanks)}".join(written), found


@given(lists())
def test_every_spelling_of_a_list_gives_its_addresses(case: tuple[str, list[str]]) -> None:
    written, found = case
    read = parse_address_list(written)
    assert not isinstance(read, Unreadable), read
    assert [one.address for one in read] == found


@given(st.one_of(values, lists().map(lambda case: case[0])))
@example("<app@acme.test> <ceo@acme.test>")
@example('"=?utf-8?q?ceo?="@acme.test')
@example("ceo @acme.test")
def test_every_address_that_python_sees_is_seen_or_the_list_is_not_read(value: str) -> None:
    read = parse_address_list(value)
    if isinstance(read, Unreadable):
        return
    assert seen_by_python(value) <= {canonical(one.address) for one in read}


@given(st.one_of(values, st.text(max_size=40)))
def test_the_common_form_is_read_as_the_grammar_reads_it(value: str) -> None:
    assert parse_address_list(value) == parse_by_grammar(value)


@given(st.sampled_from(["", " ", "\t "]), st.text("ab.,<>\"' é\t=?@", max_size=8), st.text("ab.-_@=?", max_size=9))
def test_the_common_form_is_read_as_the_grammar_reads_it_near_its_edges(blank: str, name: str, address: str) -> None:
    for value in (f"{blank}{name}<{address}>{blank}", f"{blank}{address}{blank}", f'{blank}"{name}" <{address}>'):
        assert parse_address_list(value) == parse_by_grammar(value)


@given(st.one_of(values, lists().map(lambda case: case[0])))
def test_what_was_read_is_an_address_and_reads_as_itself(value: str) -> None:
    read = parse_address_list(value)
    for one in () if isinstance(read, Unreadable) else read:
        again = parse_address_list(one.address)
        assert not isinstance(again, Unreadable), again
        assert [mailbox.address for mailbox in again] == [one.address]
        assert len(one.address) > MAX_LOCAL_PART or is_address(one.address)


@given(st.one_of(mailboxes().map(lambda case: case[1]), st.text(max_size=40), values))
def test_the_canonical_form_is_its_own(address: str) -> None:
    form = canonical(address)
    assert canonical(form) == form
    assert form.rpartition("@")[0] == form.rpartition("@")[0].lower()


@given(mailboxes())
def test_every_spelling_has_one_canonical_form(case: tuple[str, str]) -> None:
    written, address = case
    read = parse_address_list(written)
    assert not isinstance(read, Unreadable), read
    for form in (address, address.upper() if address.isascii() else address, f"{address}."):
        assert canonical(form) == canonical(read[0].address)
