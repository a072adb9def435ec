from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mailauth.spf_record import SpfSyntaxError, is_spf, parse_spf


def test_a_record_is_read_term_by_term() -> None:
    record = parse_spf("v=spf1 ip4:192.0.2.0/24 -a:mail.acme.test/28//64 ?include:%{d2}.test ~all exp=why.%{d}")
    first, second, third, last = record.directives
    assert (first.mechanism, first.network, first.qualifier) == ("ip4", ip_network("192.0.2.0/24"), "+")
    assert (second.target, second.prefix_v4, second.prefix_v6, second.qualifier) == ("mail.acme.test", 28, 64, "-")
    assert (third.mechanism, third.target, third.qualifier) == ("include", "%{d2}.test", "?")
    assert (last.mechanism, last.qualifier, last.text) == ("all", "~", "~all")
    assert (record.redirect, record.explanation) == ("", "why.%{d}")


def test_modifiers_may_stand_anywhere_and_unknown_ones_mean_nothing() -> None:
    record = parse_spf("v=spf1 redirect=other.test  moo.cow-far_out=man:dog/cat MX")
    assert record.redirect == "other.test"
    assert [directive.mechanism for directive in record.directives] == ["mx"]


@pytest.mark.parametrize("text", ["v=spf1", "V=SPF1 -all", "v=spf1 "])
def test_it_is_an_spf_record(text: str) -> None:
    assert is_spf(text)


@pytest.mark.parametrize("text", ["v=spf10", "v=spf1-all", " v=spf1", "spf2.0/pra", ""])
def test_other_texts_are_no_spf_record(text: str) -> None:
    assert not is_spf(text)


@pytest.mark.parametrize(
    ("term", "fault"),
    [
        ("ip4:192.0.2.300", "not a network"),
        ("ip4:2001:db8::/32", "other kind"),
        ("ip4:192.0.2.0/33", "not a network"),
        ("ip4", "not a network"),
        ("ip6:2001:db8::1%eth0", "other kind"),
        ("include", "lacks its domain"),
        ("exists:", "does not name a domain"),
        ("all:acme.test", "takes no domain"),
        ("include:acme.test/24", "no prefix length"),
        ("a:acme.test/33", "prefix length"),
        ("a//129", "prefix length"),
        ("a/024", "prefix length"),
        ("a:acme", "does not name a domain"),
        ("a:192.0.2.1", "does not name a domain"),
        ("exists:%{c}.acme.test", "macro"),
        ("exists:%{d0}.acme.test", "macro"),
        ("exists:%(d).acme.test", "macro"),
        ("include:ä.test", "not ASCII"),
        ("foo:acme.test", "no mechanism"),
        ("-", "not a mechanism"),
        ("redirect=", "does not name a domain"),
        ("redirect=a.test redirect=b.test", "more than once"),
        ("exp=a.test exp=b.test", "more than once"),
        ("other=%{z}", "macro"),
    ],
)
def test_what_is_wrong_is_named(term: str, fault: str) -> None:
    with pytest.raises(SpfSyntaxError, match=fault):
        parse_spf(f"v=spf1 {term} -all")


@given(st.text(alphabet="adipxclumert46:/%{}=-~?+. v1\u00e4", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SpfSyntaxError):
        for directive in parse_spf(f"v=spf1 {text}").directives:
            assert directive.text in text.split(" ")


def test_a_record_that_is_too_long_is_not_read() -> None:
    assert len(parse_spf("v=spf1" + " ip4:192.0.2.1" * 500).directives) == 500
    with pytest.raises(SpfSyntaxError, match="more than 8192 octets"):
        parse_spf("v=spf1" + " ip4:192.0.2.1" * 4000)
