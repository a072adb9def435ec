"""Who may see the dashboard, by name and by secret."""

from base64 import b64encode

import pytest

from relay.admin.dashboard.access import is_loopback_name, secret_in


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8026", "127.0.0.1", "127.0.0.1:8026", "127.9.9.9:1", "[::1]", "[::1]:8026"]
)
def test_loopback_names(host: str) -> None:
    assert is_loopback_name(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ":8026", "evil.test", "evil.test:8026", "127.0.0.1.evil.test", "localhost.evil.test:80", "192.0.2.1"),
        *("[::2]", "127.0.0.1@evil.test", "[::1", "0.0.0.0:8026", "127.0.0.1:8026:evil.test", "localhost:80:80"),
    ],
)
def test_other_names(host: str) -> None:
    assert not is_loopback_name(host)


def test_the_password_of_basic_authentication() -> None:
    expected = b64encode("anybody:se:crét".encode()).decode()
    assert secret_in(f"Basic {expected}") == secret_in(f"basic {expected}") == "se:crét"


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Bearer x", "Basic /w==", f"Basic {b64encode(b'x').decode()}"]
)
def test_fields_without_a_password(header: str) -> None:
    assert secret_in(header) == ""
