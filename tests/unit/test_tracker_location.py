"""The Location of a click: exactly the URL that was linked, and never more than one header line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.tracker.location import location

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E))


@given(
    st.sampled_from(["http://", "https://", "HTTPS://"]), st.from_regex(r"[a-z0-9.:@\[\]-]+", fullmatch=True), VISIBLE
)
def test_a_url_of_visible_ascii_is_never_changed(scheme: str, host: str, rest: str) -> None:
    url = f"{scheme}{host}/{rest}"
    assert location(url) == url


@given(
    st.text() | st.text().map(lambda text: "http://" + text) | st.text().map(lambda text: "https://a.example/" + text)
)
def test_a_location_is_visible_ascii_and_http(target: str) -> None:
    value = location(target)
    assert value is None or (value.lower().startswith(("http://", "https://")) and all("!" <= c <= "~" for c in value))


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("https://münchen.example/ü?q=ü#ü", "https://xn--mnchen-3ya.example/%C3%BC?q=%C3%BC#%C3%BC"),
        ("https://faß.de:8443/", "https://xn--fa-hia.de:8443/"),
        ("https://u:p@münchen.example:80/x", "https://u:p@xn--mnchen-3ya.example:80/x"),
        ("https://a.example/a b\x00\x7f", "https://a.example/a%20b%00%7F"),
        (" https://a.example/\r\nSet-Cookie:\ta=1 ", "https://a.example/Set-Cookie:a=1"),
        ("https://a.example/\ud83d", "https://a.example/%EF%BF%BD"),
        ("https://[::1]:8080/", "https://[::1]:8080/"),
        ("https://" + "ü" * 300 + "/", "https://" + "%C3%BC" * 300 + "/"),
    ],
)
def test_other_urls_are_changed_as_by_a_browser(target: str, value: str) -> None:
    assert location(target) == value


@pytest.mark.parametrize(
    "target", ["", "javascript:alert(1)", "//a.example/", "/x", "https:///x", "https://", "https:a.example", "ftp://a/"]
)
def test_a_target_without_http_and_host_has_no_location(target: str) -> None:
    assert location(target) is None
