"""Which links are tracked, and what is said of the others."""

import pytest

from relay.mail.domain_name import registrable
from relay.rewrite.html_tags import tags
from relay.rewrite.link_rules import is_sensitive, shown_host
from relay.rewrite.links import MAX_TARGET, Reason, classify_link, header_urls, is_excluded, links, rules
from relay.rewrite.options import Tracking

RULES = rules(
    Tracking(base_url="https://t.acme.test/x/", exclude_hosts=("Internal.test", "*.corp.test")),
    frozenset({"https://acme.test/unsubscribe?u=1"}),
)


@pytest.mark.parametrize(
    ("value", "target", "reason"),
    [
        ("https://acme.test", "https://acme.test", Reason.TRACKED),
        ("HTTP://ACME.test:80/?a=b#c", "HTTP://ACME.test:80/?a=b#c", Reason.TRACKED),
        ("https://user:pw@acme.test/", "https://user:pw@acme.test/", Reason.TRACKED),
        ("https://[2001:db8::1]/p", "https://[2001:db8::1]/p", Reason.TRACKED),
        (" \n https://acme.test/\t", "https://acme.test/", Reason.TRACKED),
        ("https://acme.test/a\r\n b".replace(" ", ""), "https://acme.test/ab", Reason.TRACKED),
        ("https://acme.test/a b", "https://acme.test/a b", Reason.NOT_PLAIN),
        ("https://acme.test/%zz", "https://acme.test/%zz", Reason.NOT_PLAIN),
        ("https://acme.test/\xfc", "https://acme.test/\xfc", Reason.NOT_PLAIN),
        ("https://acme.test/{{id}}", "https://acme.test/{{id}}", Reason.NOT_PLAIN),
        ("https:/acme.test/", "https:/acme.test/", Reason.NOT_PLAIN),
        ("https://", "https://", Reason.NOT_PLAIN),
        ("http:\\\\acme.test", "http:\\\\acme.test", Reason.NOT_PLAIN),
        ("//acme.test/", "//acme.test/", Reason.NOT_HTTP),
        ("mailto:a@acme.test", "mailto:a@acme.test", Reason.NOT_HTTP),
        ("javascript:location='https://acme.test'", "javascript:location='https://acme.test'", Reason.NOT_HTTP),
        ("https+app://acme.test/", "https+app://acme.test/", Reason.NOT_HTTP),
        ("#top", "#top", Reason.NOT_HTTP),
        ("", "", Reason.NOT_HTTP),
        ("{{link}}", "{{link}}", Reason.NOT_HTTP),
        ("https://t.acme.test/x/c/abc", "https://t.acme.test/x/c/abc", Reason.ALREADY_TRACKED),
        ("HTTPS://T.acme.test/x", "HTTPS://T.acme.test/x", Reason.ALREADY_TRACKED),
        ("https://t.acme.test/xyz", "https://t.acme.test/xyz", Reason.TRACKED),
        ("https://acme.test/unsubscribe?u=1", "https://acme.test/unsubscribe?u=1", Reason.UNSUBSCRIBE),
        ("https://internal.test/", "https://internal.test/", Reason.EXCLUDED_HOST),
        ("https://a.b.CORP.test/", "https://a.b.CORP.test/", Reason.EXCLUDED_HOST),
        ("https://corp.test/", "https://corp.test/", Reason.TRACKED),
    ],
)
def test_each_link_has_its_target_and_reason(value: str, target: str, reason: Reason) -> None:
    assert classify_link(value, RULES) == (target, reason)


def test_excluded_hosts_need_a_dot_before_the_pattern() -> None:
    assert is_excluded("a.example.com", ("*.example.com",))
    assert not is_excluded("badexample.com", ("*.example.com",))


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.test/password/reset?token=Zx81kQpL0aVbN37yTT",
        "https://acme.test/reset-password/8f14e45fceea167a5a36dedd4bea2543",
        "https://acme.test/users/confirmation?confirmation_token=yxTDb8sBcGzzhYw1xbBz",
        "https://acme.test/auth/magic-link?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
        "https://acme.test/login/verify?code=493021",
        "https://acme.test/verifyEmail/3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "https://acme.test?reset_password_token=Zx81kQpL0aVbN37yTT",
        "https://acme.test/activate#Zx81kQpL0aVbN37yTTab",
        "https://acme.test/log-in/Zx81kQpL0aVbN37yTTab",
        "https://acme.test/resetPassword?x=Zx81kQpL0aVbN37yTTab",
    ],
)
def test_links_that_open_a_door_are_sensitive(url: str) -> None:
    assert is_sensitive(url)
    assert classify_link(url, RULES)[1] is Reason.SENSITIVE


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.test/",
        "https://acme.test/login",
        "https://acme.test/password/reset",
        "https://acme.test/products/red-running-shoes-for-long-distances",
        "https://acme.test/o/Zx81kQpL0aVbN37yTT?utm_campaign=spring",
        "https://acme.test/blog/how-to-reset-your-password-in-three-easy-steps",
        "https://acme.test/help/login-problems-and-how-to-solve-them?utm_source=newsletter",
        "https://login.acme.test/spring",
        "https://acme.test/blog-insights/?id=Zx81kQpL0aVbN37yTT",
        "https://acme.test/signs-and-locks/Zx81kQpL0aVbN37yTT",
    ],
)
def test_ordinary_links_are_not_sensitive(url: str) -> None:
    assert not is_sensitive(url)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (b"https://www.acme.test/spring", "www.acme.test"),
        (b" <b>www.acme.test</b> ", "www.acme.test"),
        (b"acme.com", "acme.com"),
        (b"Acme.CO.UK/shop?x=1", "acme.co.uk"),
        (b"http://<wbr>acme.test&#47;a", "acme.test"),
        (b"<!-- x.y -->acme.io.", "acme.io"),
        (b"Visit acme.com today", ""),
        (b"v1.2.3", ""),
        (b"Read more", ""),
        (b"me@acme.com", ""),
    ],
)
def test_the_host_that_a_text_shows_is_found(text: bytes, host: str) -> None:
    assert shown_host(text) == host


def test_a_visible_url_of_another_domain_keeps_its_link() -> None:
    html = (
        b'<a href="https://x.test/1">www.x.test</a><a href="https://x.test/2">t.acme.test</a>'
        b'<a href="https://x.test/3">www.acme.test/shop<a href="https://x.test/4">x.test'
    )
    found = list(links(html, html, list(tags(html)), RULES))
    assert [link.reason for link in found] == [
        Reason.VISIBLE_URL,
        Reason.TRACKED,
        Reason.TRACKED,
        Reason.VISIBLE_URL,
    ]


@pytest.mark.parametrize(
    "attribute",
    [
        'data-relay-track="off"',
        "data-relay-track=OFF",
        "clicktracking=off",
        "data-pm-no-track",
        "ses:no-track",
        "disable-tracking=true",
        "mc:disable-tracking",
        'data-msys-clicktrack="0"',
    ],
)
def test_links_that_opt_out_stay(attribute: str) -> None:
    html = f'<a {attribute} href="https://x.test/">'.encode()
    assert [f.reason for f in links(html, html.lower(), list(tags(html.lower())), RULES)] == [Reason.OPTED_OUT]


@pytest.mark.parametrize(
    "attributes",
    [
        'href="https://x.test/" data-relay-track="on"',
        'href="https://x.test/" disable-tracking=false',
        'href="https://x.test/" title=" ses:no-track "',
        "href='https://x.test/?x=data-relay-track=off' class=tracked",
    ],
)
def test_what_only_looks_like_an_opt_out(attributes: str) -> None:
    html = f"<a {attributes}>".encode()
    assert [f.reason for f in links(html, html.lower(), list(tags(html.lower())), RULES)] == [Reason.TRACKED]


def test_a_link_that_is_not_ascii_is_shown_as_it_reads() -> None:
    html = '<a href="https://gärten.test/">'.encode()
    assert [f.target for f in links(html, html, list(tags(html)), RULES)] == ["https://gärten.test/"]


def test_urls_of_list_unsubscribe_are_found() -> None:
    value = b"<mailto:u@acme.test>, <https://acme.test/u?\r\n a=1> (comment), <HTTP://acme.test/>"
    assert header_urls(value) == {"https://acme.test/u?a=1", "HTTP://acme.test/"}


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.shop.acme.com", "acme.com"),
        ("acme.com", "acme.com"),
        ("a.b.acme.co.uk", "acme.co.uk"),
        ("acme.co.uk", "acme.co.uk"),
        ("WWW.Acme.COM.au.", "acme.com.au"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_registrable_domains_are_found(host: str, domain: str) -> None:
    assert registrable(host) == domain


def test_a_link_too_long_for_the_tracker_is_left_alone() -> None:
    rule = rules(Tracking(base_url="https://t.acme.test"), frozenset())
    assert classify_link("https://x.test/" + "a" * (MAX_TARGET - 15), rule)[1] is Reason.TRACKED
    assert classify_link("https://x.test/" + "a" * (MAX_TARGET - 14), rule)[1] is Reason.TOO_LONG
