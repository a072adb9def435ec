"""Who asked: a person or a machine, and from where."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.tracker.client import MAX_USER_AGENT, clean_user_agent, client_address, parse_client

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


PEOPLE = [
    FIREFOX,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook 16.0.17928; Microsoft Outlook 16.0)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.5.0",
    "Mozilla/5.0 (Linux; Android 15; CUBOT KINGKONG) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile",
]


MACHINES = [
    ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "proxy: Gmail"),
    ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "proxy: Yahoo Mail"),
    ("Mozilla/5.0", "prefetch: Apple Mail Privacy Protection"),
    ("Barracuda Sentinel (EE)", "scanner: Barracuda"),
    ("Mozilla/5.0 (compatible; Proofpoint URL Defense)", "scanner: Proofpoint"),
    ("Mimecast-Web", "scanner: Mimecast"),
    ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "scanner: Microsoft Safe Links"),
    ("python-requests/2.32.3", "library"),
    ("curl/8.11.0", "library"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/142.0.0.0 Safari/537.36", "bot"),
    ("", "no user agent"),
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_mail_programs_and_browsers_are_people(user_agent: str) -> None:
    assert parse_client("GET", {"User-Agent": user_agent}).machine == ""


@pytest.mark.parametrize(("user_agent", "reason"), MACHINES)
def test_machines_have_their_kind_as_reason(user_agent: str, reason: str) -> None:
    assert parse_client("GET", {"User-Agent": user_agent}).machine == reason


def test_head_requests_and_prefetches_are_machines_with_any_user_agent() -> None:
    assert parse_client("HEAD", {"User-Agent": FIREFOX}).machine == "HEAD"
    for name, value in {"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch"}.items():
        assert parse_client("GET", {"User-Agent": FIREFOX, name: value}).machine == "prefetch"


@given(st.text(max_size=3000))
def test_a_user_agent_is_one_bounded_line(value: str) -> None:
    clean = clean_user_agent(value)
    assert len(clean) <= MAX_USER_AGENT
    assert len(f"x{clean}x".splitlines()) == 1
    clean.encode()


TRUSTED = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::5", "2001:db8::5"),
        ("::1", "[2001:db8::5]", "2001:db8::5"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("", "198.51.100.1", ""),
    ],
)
def test_forwarded_for_is_trusted_from_trusted_proxies_only(peer: str, forwarded_for: str, client: str) -> None:
    assert client_address(peer, forwarded_for, TRUSTED) == client
