"""Wrong logins of strangers delay no other client of the API: not behind one proxy, nor with one user name."""

from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from relay.api.access import CLIENT, Access, client_address_of, login_failure_key
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.submission.credential_keys import find_credential

KEY = new_key("shop", bytes(range(32)))

SETTINGS = Settings.model_validate(
    {
        "credentials": {"shop": {"secret_hash": hash_secret(KEY, b"s" * 16), "scopes": ["read"]}},
        "api": {"address": "127.0.0.1:8027", "trusted_proxies": ["127.0.0.0/8"]},
    }
)


def request_from(peer: str, **fields: str) -> web.Request:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return make_mocked_request("GET", "/", headers=headers).clone(remote=peer)


@pytest.mark.parametrize(
    ("peer", "fields", "client"),
    [
        ("192.0.2.1", {}, "192.0.2.1"),
        ("192.0.2.1", {"X_Forwarded_For": "198.51.100.7"}, "192.0.2.1"),
        ("127.0.0.1", {"X_Forwarded_For": "198.51.100.7"}, "198.51.100.7"),
        ("127.0.0.1", {"X_Forwarded_For": "203.0.113.9, 198.51.100.7, 127.0.0.2"}, "198.51.100.7"),
        ("127.0.0.1", {"Forwarded": 'for="[2001:db8::7]:80"'}, "2001:db8::7"),
        ("127.0.0.1", {}, "127.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_client(peer: str, fields: dict[str, str], client: str) -> None:
    assert client_address_of(request_from(peer, **fields), (ip_network("127.0.0.0/8"),)) == client


def test_wrong_logins_count_by_the_credential_of_a_key() -> None:
    assert login_failure_key("api", KEY) == login_failure_key("apikey", new_key("shop", bytes(32))) == "key of shop"
    assert login_failure_key("api", "wrong") == "api"
    assert login_failure_key("api", new_key("other", bytes(32))) == "key of other"


async def test_a_stranger_with_the_user_name_of_all_clients_keeps_none_out() -> None:
    async def authenticate(settings: Settings, username: str, secret: str) -> str | None:
        found = find_credential(settings, username, secret)
        return found.credential if found else None

    access = Access(lambda: SETTINGS, authenticate, lambda: 1000.0)
    request = request_from("127.0.0.1")
    assert (await access.logged_in(request, "api", KEY, "read")).credential == "shop"
    assert request[CLIENT] == "127.0.0.1"
    for secret in ("wrong", new_key("other", bytes(32))):
        for _ in range(60):
            access.throttle.failed("127.0.0.1", login_failure_key("api", secret), 1000.0)
    with pytest.raises(web.HTTPTooManyRequests):
        await access.logged_in(request, "api", "wrong", "read")
    assert (await access.logged_in(request, "api", KEY, "read")).credential == "shop"
