import time

import pytest

from relay.mail.address_list import Mailbox, Unreadable, parse_address_list


def addresses(value: str) -> list[str]:
    """Return the addresses of a value that must be readable."""
    found = parse_address_list(value)
    assert not isinstance(found, Unreadable), found
    return [one.address for one in found]


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("a@b.test", "", "a@b.test"),
        (" <a@b.test>\t", "", "a@b.test"),
        ("Ann <a@b.test>", "Ann", "a@b.test"),
        ('"Lee, Ann <x@y.test>" <a@b.test>', '"Lee, Ann <x@y.test>"', "a@b.test"),
        (r'"Ann \"the\" Lee"<a@b.test>', r'"Ann \"the\" Lee"', "a@b.test"),
        ("John Q. Public <a@b.test>", "John Q. Public", "a@b.test"),
        ("=?utf-8?q?J=C3=B6rg?= <a@b.test>", "=?utf-8?q?J=C3=B6rg?=", "a@b.test"),
        ("Jörg <jörg@bücher.test>", "Jörg", "jörg@bücher.test"),
        ("Ann\r\n Lee\r\n\t<a@b.test>", "Ann\r\n Lee", "a@b.test"),
        ("(c (d \\) e) <x@y.test>) Ann < a@b.test >", "Ann", "a@b.test"),
    ],
)
def test_a_mailbox_has_its_name_as_written(value: str, name: str, address: str) -> None:
    assert parse_address_list(value) == (Mailbox(name, address),)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("ceo @acme.test", "ceo@acme.test"),
        ("<ceo@\r\n acme.test>", "ceo@acme.test"),
        ("ceo(a)@(b)acme(c).(d)test", "ceo@acme.test"),
        ("john . doe @ acme . test", "john.doe@acme.test"),
        ('"john".doe@acme.test', "john.doe@acme.test"),
        ('"john"."d doe"@acme.test', '"john.d doe"@acme.test'),
        (r'"c\e\o"@acme.test', "ceo@acme.test"),
        ('"a\r\n b"@acme.test', '"a b"@acme.test'),
        (r'"a\"b\\"@acme.test', r'"a\"b\\"@acme.test'),
        ("<@a.test,@b.test:ceo@acme.test>", "ceo@acme.test"),
        ("<,@a.test, ,@b.test,:ceo@acme.test>", "ceo@acme.test"),
        ("ceo@acme.test.", "ceo@acme.test."),
        ("ceo@[192.0.2.1]", "ceo@[192.0.2.1]"),
        ("ceo@[\r\n IPv6:2001:db8::1 ]", "ceo@[IPv6:2001:db8::1]"),
        ("ceo@ａcme.test", "ceo@ａcme.test"),
        ("!#$%&'*+-/=?^_`{|}~@acme.test", "!#$%&'*+-/=?^_`{|}~@acme.test"),
    ],
)
def test_obsolete_forms_are_read(value: str, address: str) -> None:
    assert addresses(value) == [address]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", []),
        (" (nobody) ", []),
        ("a@b.test, Ann <c@d.test>", ["a@b.test", "c@d.test"]),
        (",a@b.test,(x),,c@d.test,", ["a@b.test", "c@d.test"]),
        ("undisclosed-recipients:;", []),
        ("undisclosed recipients: (none) ;", []),
        ("Group: ceo@acme.test;", ["ceo@acme.test"]),
        ('x@y.test, "A, B": ,a@b.test,, C <c@d.test>,; , e@f.test', ["x@y.test", "a@b.test", "c@d.test", "e@f.test"]),
    ],
)
def test_lists_and_groups_are_read(value: str, found: list[str]) -> None:
    assert addresses(value) == found


@pytest.mark.parametrize(
    ("value", "reason", "position"),
    [
        ("<app@acme.test> <ceo@acme.test>", "'<' stands where a comma between two addresses is expected", 16),
        ("app@acme.test <ceo@acme.test>", "'<' stands where a comma between two addresses is expected", 14),
        ("a@b.test c@d.test", "no domain name behind the @", 2),
        ('"unclosed <ceo@acme.test>', "a quoted string that does not end", 0),
        ("a, (unclosed <ceo@acme.test>", "a comment that does not end", 3),
        ("=?utf-8?q?ceo=40acme.test?=", "the field ends where an address is expected", 27),
        ("=?utf-8?q?ceo?=@acme.test", "an encoded word inside an address", 0),
        ("=?utf-8?q?a?b?=@acme.test", "an encoded word inside an address", 0),
        ('"=?utf-8?q?ceo?="@acme.test', "an encoded word inside an address", 0),
        ("a@b.test, ceo", "the field ends where an address is expected", 13),
        ("Ann <>", "'>' stands where an address is expected", 5),
        ("Ann <a@b.test", "the field ends where the > that ends the address is expected", 13),
        ("a b@c.test", "two words or two dots in a row before the @", 2),
        ("a..b@c.test", "two words or two dots in a row before the @", 2),
        ("a.@c.test", "a dot before the @", 1),
        (".a@c.test", "two words or two dots in a row before the @", 0),
        ("a@c..test", "no domain name behind the @", 2),
        ("a@b@c.test", "'@' stands where a comma between two addresses is expected", 3),
        ("a@[192.0.2.1", "an address literal that does not end", 2),
        ("a@[not an address!]", "an address literal that is none", 2),
        ("a@b＠c.test", "no domain name behind the @", 2),
        ("Group: a@b.test", "the field ends where a comma or the ; that ends the group is expected", 15),
        ("A: B: a@b.test;;", "':' stands where an address is expected", 4),
        (": a@b.test;", "':' stands where an address is expected", 0),
        ("a@b.test;", "';' stands where a comma between two addresses is expected", 8),
        (".Ann <a@b.test>", "a name that starts with a dot and has no quotes", 0),
        ("ceo\u200b@acme.test", "a character that no address has", 0),
        ("a\\b@c.test", "a backslash outside a quoted string", 1),
        ("a)@c.test", "a ) without its (", 1),
        ("\udcfc <a@b.test>", "octets that are not UTF-8", 0),
        ('"\udcfc" <a@b.test>', "octets that are not UTF-8", 1),
        ("(\udcfc) a@b.test", "octets that are not UTF-8", 1),
        ("a@b.test\0", "the control character '\\x00'", 8),
        ("a@b.test\r\nX: y", "the control character '\\r'", 8),
    ],
)
def test_what_cannot_be_read_whole_is_not_read_at_all(value: str, reason: str, position: int) -> None:
    assert parse_address_list(value) == Unreadable(reason, position)


def test_a_fault_names_its_place() -> None:
    assert str(parse_address_list("a@b.test c")) == "no domain name behind the @ at character 3"


@pytest.mark.parametrize(
    "value",
    [
        "<" + " " * 200_000 + "x y",
        "<\t" * 100_000 + ">",
        "(" * 200_000,
        "()" * 100_000,
        '"' + "\\" * 200_000,
        '"' * 200_000,
        "," * 200_000,
        "a@b," * 50_000,
        "a." * 100_000 + "@b",
        "a@" + "a-" * 100_000,
        "a@" + "a." * 100_000 + "-",
        "a: " * 70_000,
        "<@a" + ",@a" * 60_000,
        "a@" + "ü" * 2_000 + ".test",
    ],
)
def test_a_list_is_read_in_linear_time(value: str) -> None:
    started = time.process_time()
    parse_address_list(value)
    assert time.process_time() - started < 2.0
