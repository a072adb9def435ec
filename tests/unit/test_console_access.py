"""Who may see the console, by name and by secret."""

from base64 import b64encode

import pytest
from aiohttp import HttpVersion10

from relay.console.access import basic_password, is_cross_origin, is_loopback_name, proxy_reason


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8026", "127.0.0.1", "127.0.0.1:8026", "127.9.9.9:1", "[::1]", "[::1]:8026"]
)
def test_names_of_loopback_are_recognised(host: str) -> None:
    assert is_loopback_name(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ":8026", "evil.test", "evil.test:8026", "127.0.0.1.evil.test", "localhost.evil.test:80", "192.0.2.1"),
        *("[::2]", "127.0.0.1@evil.test", "[::1", "0.0.0.0:8026", "127.0.0.1:8026:evil.test", "localhost:80:80"),
    ],
)
def test_other_names_are_not_those_of_loopback(host: str) -> None:
    assert not is_loopback_name(host)


def test_the_password_of_basic_authentication() -> None:
    expected = b64encode("anybody:se:crét".encode()).decode()
    assert basic_password(f"Basic {expected}") == basic_password(f"basic {expected}") == "se:crét"


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Bearer x", "Basic /w==", f"Basic {b64encode(b'x').decode()}"]
)
def test_fields_without_a_password(header: str) -> None:
    assert basic_password(header) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("Forwarded", "Via", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "X-Forwarded", "X-Real-IP"),
        *("X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Original-Host"),
        *("X-Amzn-Trace-Id", "Fly-Client-IP", "X-Azure-ClientIP", "X-Request-ID", "X-Scheme", "Traceparent"),
        *("Tailscale-User-Login", "Front-End-Https", "X-SSL-Client-Verify", "Remote-User", "X-Auth-Request-Email"),
        *("X-ProxyUser-Ip", "Forwarded-For", "X-Envoy-External-Address", "CDN-Loop", "X-Forwarded-Client-Cert"),
    ],
)
def test_a_proxy_is_found_by_its_fields(name: str) -> None:
    assert proxy_reason({"Host": "localhost", name: ""}) == f"field {name}"


def test_a_proxy_without_a_field_is_found_by_its_version() -> None:
    assert proxy_reason({"Host": "localhost"}, HttpVersion10) == "HTTP/1.0"


def test_a_whole_url_as_target_is_a_request_to_a_proxy() -> None:
    assert proxy_reason({"Host": "localhost"}, target="http://evil.test/") == "a whole URL as target"


def test_a_browser_is_no_proxy() -> None:
    sent = ("Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Connection", "Sec-Fetch-Site", "DNT")
    more = (
        "Upgrade-Insecure-Requests",
        "Priority",
        "Sec-GPC",
        "Cookie",
        "Referer",
        "Origin",
        "Authorization",
        "Pragma",
    )
    client_hints = ("Sec-CH-UA", "Sec-CH-UA-Mobile", "Save-Data", "Device-Memory", "If-None-Match", "Range", "TE")
    htmx = ("HX-Request", "HX-Current-URL", "HX-Target", "HX-Trigger", "HX-Trigger-Name", "HX-Boosted")
    assert not proxy_reason(dict.fromkeys((*sent, *more, *client_hints, *htmx), "1"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8026"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:8026"},
    ],
)
def test_a_request_of_a_page_of_another_origin(headers: dict[str, str]) -> None:
    assert is_cross_origin({"Host": "localhost:8026", **headers})


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8026"}]
)
def test_the_user_and_the_console_itself_are_not_foreign(headers: dict[str, str]) -> None:
    assert not is_cross_origin({"Host": "localhost:8026", **headers})
