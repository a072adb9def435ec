import pytest

from relay.mail.address import Address, AddressError, is_ascii, parse_address, strip_route
from relay.mail.canonical_address import canonical, domain_of


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("a@b.test", "a", "b.test"),
        ("Ann.Lee+x@Shop.Test", "Ann.Lee+x", "shop.test"),
        ('"a b"@b.test', '"a b"', "b.test"),
        ('"a\\"@b"@b.test', '"a\\"@b"', "b.test"),
        ("jörg@köln.test", "jörg", "köln.test"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:db8::1]", "a", "[ipv6:2001:db8::1]"),
        ("a@b.test.", "a", "b.test."),
        ("l" * 64 + "@b.test", "l" * 64, "b.test"),
    ],
)
def test_an_address_is_taken_apart(text: str, local: str, domain: str) -> None:
    assert parse_address(text) == Address(local, domain)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("nobody", "no @"),
        ("", "no @"),
        ("@b.test", "before the @"),
        ("a..b@c.test", "before the @"),
        (".a@c.test", "before the @"),
        ("a b@c.test", "before the @"),
        ("a@b@c.test", "before the @"),
        ('"a@c.test', "before the @"),
        ("a\x07@c.test", "before the @"),
        ("a@", "after the @"),
        ("a@b..test", "after the @"),
        ("a@-b.test", "after the @"),
        ("a@b c.test", "after the @"),
        ("a@[1.2.3.4", "after the @"),
        ("l" * 65 + "@b.test", "64 octets"),
        ("a@" + "b." * 130 + "test", "255 octets"),
        ("l" * 64 + "@" + "b." * 100 + "test", "256 octets"),
    ],
)
def test_a_fault_is_named(text: str, fault: str) -> None:
    with pytest.raises(AddressError, match=fault):
        parse_address(text)


def test_octets_that_are_no_utf8_are_a_fault() -> None:
    for text in ("a@b\udcff.test", "a\udcff@b.test", '"\udcff"@b.test'):
        with pytest.raises(AddressError, match="UTF-8"):
            parse_address(text)


def test_lengths_are_octets() -> None:
    with pytest.raises(AddressError, match="64 octets"):
        parse_address("ö" * 33 + "@b.test")


@pytest.mark.parametrize(
    ("path", "mailbox"),
    [("@a.test,@b.test:u@c.test", "u@c.test"), ("@[127.0.0.1]:u@c.test", "u@c.test"), ("u@c.test", "u@c.test")],
)
def test_a_source_route_is_dropped(path: str, mailbox: str) -> None:
    assert strip_route(path) == mailbox


def test_the_domain_of_an_address_is_in_the_form_it_is_looked_up_by() -> None:
    assert [domain_of(text) for text in ("A@B.Test.", "", '"x@y"@c.test')] == ["b.test", "", "c.test"]


def test_lists_of_people_do_not_tell_case_apart() -> None:
    assert canonical("Ann@Shop.Test") == canonical("ann@shop.test")
    assert is_ascii("a@b.test")
    assert not is_ascii("jörg@b.test")
