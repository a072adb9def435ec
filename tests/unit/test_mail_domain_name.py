"""Whether two domains have one owner: certainly, for proofs; and by the compact rule, for links."""

import pytest

from relay.mail.domain_name import organisation, registrable, speaks_for


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mx1.bank.example", "out.bank.example"),
        ("bank.co.at", "mail.bank.co.at"),
        ("aspmx.l.google.com", "mail-ed1-f41.google.com"),
        ("mx.bank.or.zz", "bank.or.zz"),
        ("Bank.Example.", "bank.example"),
        ("[192.0.2.1]", "[192.0.2.1]"),
    ],
)
def test_names_of_one_owner(one: str, other: str) -> None:
    assert speaks_for(one, other)
    assert speaks_for(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("evil.co.at", "bank.co.at"),
        ("mx.evil.com.gr", "bank.com.gr"),
        ("evil.or.zz", "bank.or.zz"),
        ("evil.gouv.zz", "bank.gouv.zz"),
        ("evil.eu.org", "bank.eu.org"),
        ("evil.uk.com", "bank.uk.com"),
        ("evil.duckdns.org", "bank.duckdns.org"),
        ("evilbank.example", "bank.example"),
        ("evil.192", "bank.192"),
        ("[192.0.2.1]", "[192.0.2.2]"),
        ("", "bank.example"),
        ("", ""),
    ],
)
def test_names_that_may_have_two_owners(one: str, other: str) -> None:
    assert not speaks_for(one, other)
    assert not speaks_for(other, one)


@pytest.mark.parametrize("upper", ["github.io", "eu.org", "dyndns.org", "co.at", "com.gr", "or.zz", "gmx.de", "com"])
def test_a_name_below_what_may_be_a_suffix_does_not_speak_for_it(upper: str) -> None:
    assert not speaks_for(f"evil.{upper}", upper)
    assert not speaks_for(f"mx.Evil.{upper}.", upper)
    assert speaks_for(upper, f"mail.{upper}")
    assert speaks_for(upper, upper)


def test_what_may_be_a_suffix_has_no_organisation_above_it() -> None:
    assert organisation("mx.bank.or.zz") == "mx.bank.or.zz", "no rule has .or.zz"
    assert registrable("mx.bank.or.zz") == "or.zz", "for links a guess is good enough"
    assert organisation("mx.bank.co.at") == "bank.co.at"
