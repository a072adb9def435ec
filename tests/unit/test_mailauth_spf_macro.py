from ipaddress import ip_address

import pytest

from relay.mailauth.spf_record import expand, expand_domain, macro_values, uses_validated_name

KNOWN = macro_values(ip_address("192.0.2.3"), "strong-bad@email.example.com", "mx.example.org", "email.example.com")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ("%{h}%%%_%-", "mx.example.org% %20"),
        ("%{S}", "strong-bad%40email.example.com"),
    ],
)
def test_the_examples_of_rfc_7208_section_7_4(text: str, expanded: str) -> None:
    assert expand(text, KNOWN) == expanded


def test_an_ipv6_address_is_dotted_nibbles() -> None:
    known = macro_values(ip_address("2001:db8::cb01"), "strong-bad@email.example.com", "h.test", "email.example.com")
    nibbles = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
    assert expand("%{ir}.%{v}._spf.%{d2}", known).lower() == f"{nibbles}.ip6._spf.example.com"


def test_left_labels_of_a_long_name_are_dropped() -> None:
    known = macro_values(
        ip_address("192.0.2.3"), f"{'x' * 60}.{'y' * 60}.{'z' * 60}.{'w' * 60}@acme.test", "h.test", "acme.test"
    )
    name = expand_domain("%{l}.%{l}.%{d}", known)
    assert len(name) <= 253
    assert name.startswith("x")
    assert name.endswith(f"{'w' * 60}.acme.test")


def test_only_the_validated_name_costs_look_ups() -> None:
    assert uses_validated_name("%{P}.acme.test")
    assert not uses_validated_name("%{d}%%{p.acme.test")
