import pytest

from relay.mail.canonical_address import canonical, canonical_domain, domain_of, keys_of
from relay.mail.domain_name import to_unicode


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("", ""),
        ("bob@x.test", "bob@x.test"),
        ("Bob@X.Test", "bob@x.test"),
        ("bob@x.test.", "bob@x.test"),
        ('"bob"@x.test', "bob@x.test"),
        (r'"b\o\b"@x.test', "bob@x.test"),
        ('"bob smith"@x.test', '"bob smith"@x.test'),
        (r'"bob\ smith"@x.test', '"bob smith"@x.test'),
        ('".bob"@x.test', '".bob"@x.test'),
        ('"a@b"@x.test', '"a@b"@x.test'),
        (r'"a\"b\\c"@x.test', r'"a\"b\\c"@x.test'),
        ('""@x.test', '""@x.test'),
        ("ann@bücher.test", "ann@xn--bcher-kva.test"),
        ("ann@BÜCHER.test.", "ann@xn--bcher-kva.test"),
        ("ann@bu\u0308cher.test", "ann@xn--bcher-kva.test"),
        ("ann@XN--BCHER-KVA.test", "ann@xn--bcher-kva.test"),
        ("ann@straße.test", "ann@xn--strae-oqa.test"),
        ("ann@ａcme。test", "ann@acme.test"),
        ("JO\u0308RG@x.test", "jörg@x.test"),
        ("Jörg@x.test", "jörg@x.test"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@[IPv6:2001:DB8:0:0::1]", "a@[ipv6:2001:db8::1]"),
        ("a@[IPv6:::FFFF:192.0.2.1]", "a@[ipv6:::ffff:192.0.2.1]"),
        ("a@[Tag:X]", "a@[tag:x]"),
        ("a@[192.0.2.1].", "a@[192.0.2.1]"),
        ("Not An Address", "not an address"),
        ("a@b\ud800.test", "a@b\ud800.test"),
    ],
)
def test_one_mailbox_has_one_form(written: str, form: str) -> None:
    assert canonical(written) == form


def test_a_domain_alone_has_the_form_it_has_in_an_address() -> None:
    assert canonical_domain("Bücher.Test.") == "xn--bcher-kva.test"
    assert canonical_domain("") == ""


def test_the_domain_of_an_address_is_in_the_form_it_is_looked_up_by() -> None:
    given = ("A@B.Test.", "", '"x@y"@c.test', "Bücher.test", "a@[IPv6:::1]")
    assert [domain_of(text) for text in given] == ["b.test", "", "c.test", "xn--bcher-kva.test", "[ipv6:::1]"]


def test_a_store_is_asked_for_the_keys_of_before_too() -> None:
    assert keys_of("Bob@x.test") == ("bob@x.test",)
    assert keys_of('"Bob"@x.test.') == ("bob@x.test", '"bob"@x.test.')
    assert keys_of("Bücher.test") == ("xn--bcher-kva.test", "bücher.test")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ann@xn--bcher-kva.test", "ann@b\u00fccher.test"),
        ("xn--strae-oqa.test", "stra\u00dfe.test"),
        ("xn--a@xn--bcher-kva.test", "xn--a@b\u00fccher.test"),
        ("ann@xn--.test", "ann@xn--.test"),
        ("ann@xn--\u00e9.test", "ann@xn--\u00e9.test"),
        ("ann@xn--a-.test", "ann@xn--a-.test"),
        ("ann@xn--99999999.test", "ann@xn--99999999.test"),
        ("ann@acme.test", "ann@acme.test"),
        ("ann", "ann"),
    ],
)
def test_a_labels_are_shown_as_u_labels_if_they_are_valid(address: str, shown: str) -> None:
    assert to_unicode(address) == shown


@pytest.mark.parametrize("letters", [10, 319, 320, 321, 100_000])
def test_the_form_of_a_long_text_is_the_same(letters: int) -> None:
    assert canonical(f"{'A' * letters}@B\u00fccher.test") == f"{'a' * letters}@xn--bcher-kva.test"
    assert domain_of(f"x@{'B' * letters}.test.") == f"{'b' * letters}.test"
