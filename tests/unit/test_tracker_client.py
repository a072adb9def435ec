"""Who asked: a person or a machine, and from where."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events.event import Kind
from relay.networks import NetworkSet
from relay.tracker.client import MAX_USER_AGENT, clean_user_agent, client_address, parse_client
from relay.tracker.user_agents import CLIENTS, KnownClient, known_client, load_clients

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
SEZNAM = "Mozilla/5.0 SeznamEmailProxy/2.0.174"

HEY = "hey.com/imageproxy Mozilla/5.0 (X11; Linux x86_64) Chrome/134.0.0.0 Safari/537.36"

PEOPLE = [
    FIREFOX,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook 16.0.17928; Microsoft Outlook 16.0)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.5.0",
    "Mozilla/5.0 (Linux; Android 15; CUBOT KINGKONG) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile",
]

PHONES = [
    "Mozilla/5.0 (Linux; Android 7.0; M bot 60 Build/NRD90M) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/58.0 Mobile",
    "Mozilla/5.0 (Linux; Android 7.1.1; M_bot_tab_1150 Build/N9F27F) Chrome/67.0.3396.87 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 6.0; IDbot553 Build/MRA58K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0 Mobile",
    "Mozilla/5.0 (Linux; Android 6.0; B BOT 550 Build/MRA58K; wv) AppleWebKit/537.36 Version/4.0 Chrome/53.0 Mobile",
    "Mozilla/5.0 (Linux; Android 7.0; M bot 54; wv) Chrome/65.0 Mobile [FB_IAB/FB4A;FBAV/162.0.0.0.0;FBDV/M bot 54;]",
    "UCWEB/2.0 (Linux; U; Adr 7.0; en-US; M bot 60) U2/1.0.0 UCBrowser/12.0 U2/1.0.0 Mobile",
    "Dalvik/2.1.0 (Linux; U; Android 9; Scan Spider Monitor Build/PPR1)",
]

OUTLOOK = [
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "Mozilla/4.0 (compatible; ms-office; MSOffice rmj)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; Microsoft Outlook 15.0.4719; ms-office; MSOffice 15)",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.12026; Pro)",
]

MACHINES = [
    ("Mozilla/5.0", "prefetch: Apple Mail Privacy Protection"),
    ("Barracuda Sentinel (EE)", "scanner: Barracuda"),
    ("Mozilla/5.0 (compatible; Proofpoint URL Defense)", "scanner: Proofpoint"),
    ("Mimecast-Web", "scanner: Mimecast"),
    ("Microsoft Office Protocol Discovery", "Office asks for the document"),
    ("python-requests/2.32.3", "library"),
    ("curl/8.11.0", "library"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
    ("Mozilla/5.0 (Linux; Android 6.0; compatible; ExampleBot/1.0)", "bot"),
    ("ExampleFetcher/1.0 (+https://example.com/about)", "bot"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/142.0.0.0 Safari/537.36", "bot"),
    ("Mozilla/5.0 zgrab/0.x", "bot"),
    ("", "no user agent"),
]


def told(user_agent: str, method: str = "GET", **fields: str) -> tuple[str, str, str]:
    client = parse_client(
        method, {"User-Agent": user_agent, **{name.replace("_", "-"): fields[name] for name in fields}}
    )
    return client.requester(Kind.OPEN), client.requester(Kind.CLICK), client.reason


@pytest.mark.parametrize("user_agent", [*PEOPLE, *PHONES])
def test_mail_programs_and_browsers_are_people(user_agent: str) -> None:
    assert told(user_agent) == ("person", "person", "")


@pytest.mark.parametrize(("user_agent", "reason"), MACHINES)
def test_machines_have_their_kind_as_reason(user_agent: str, reason: str) -> None:
    assert told(user_agent) == ("machine", "machine", reason)


@pytest.mark.parametrize("user_agent", OUTLOOK)
def test_outlook_opens_for_a_person_and_asks_ahead_of_the_browser_at_a_click(user_agent: str) -> None:
    assert told(user_agent) == ("person", "machine", "Office asks ahead of the browser")


@pytest.mark.parametrize(
    ("provider", "user_agent"), [("Gmail", GMAIL), ("Yahoo Mail", YAHOO), ("Seznam Email", SEZNAM), ("HEY", HEY)]
)
def test_a_proxy_opens_for_a_reader_it_does_not_name(provider: str, user_agent: str) -> None:
    assert told(user_agent) == ("proxy", "machine", f"proxy: {provider}")


def test_gmail_requests_ahead_of_the_reader_with_a_user_agent_of_its_own() -> None:
    edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/42.0.2311.135 Safari/537.36 Edge/12.246"
    assert told(f"{edge} Mozilla/5.0") == ("machine", "machine", "prefetch: Gmail")
    assert told(edge) == ("person", "person", "")


def test_head_requests_and_prefetches_are_machines_with_any_user_agent() -> None:
    assert told(FIREFOX, "HEAD") == ("machine", "machine", "HEAD")
    for name, value in {"Sec_Purpose": "prefetch;prerender", "Purpose": "prefetch", "X_Moz": "prefetch"}.items():
        assert told(FIREFOX, **{name: value}) == ("machine", "machine", "prefetch")
    assert told(GMAIL, Purpose="prefetch") == ("machine", "machine", "proxy: Gmail")


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_each_entry_decides_its_example(client: KnownClient) -> None:
    assert known_client(client.example) is client


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[client]]\nname = "x"\n', "x: the fields are not clicks, date, example, name, opens, pattern, source"),
        (
            '[[client]]\nname="x"\npattern="x"\nopens="robot"\nclicks="person"\nsource=""\ndate=2026-01-01\nexample="x"\n',
            "x: opens and clicks must be person, proxy or machine",
        ),
    ],
)
def test_an_entry_at_fault_is_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        load_clients(text)


@given(st.text(max_size=3000))
def test_a_user_agent_is_one_bounded_line(value: str) -> None:
    clean = clean_user_agent(value)
    assert len(clean) <= MAX_USER_AGENT
    assert len(f"x{clean}x".splitlines()) == 1
    clean.encode()


TRUSTED = NetworkSet((ip_network("10.0.0.0/8"), ip_network("::1/128")))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1,, 10.0.0.7, ,\t", "198.51.100.1"),
        ("10.0.0.1", ", ,", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::5", "2001:db8::5"),
        ("::1", "[2001:db8::5]", "2001:db8::5"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("", "198.51.100.1", ""),
    ],
)
def test_forwarded_for_is_trusted_from_trusted_proxies_only(peer: str, forwarded_for: str, client: str) -> None:
    assert client_address(peer, forwarded_for, TRUSTED) == client


def test_the_trace_of_a_request_is_in_its_event() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    client = parse_client("GET", {"User-Agent": FIREFOX, "traceparent": trace})
    assert client.event_fields(Kind.OPEN) == {"user_agent": FIREFOX, "traceparent": trace}
    assert "traceparent" not in parse_client("GET", {"traceparent": "00-x\r\n"}).event_fields(Kind.CLICK)
