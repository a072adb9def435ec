"""Errors of checks across settings, with the warnings about the same keys."""

from pathlib import Path
from typing import Any

import pytest
import trustme

from relay.config.checks import find_errors
from relay.config.errors import key_text
from relay.config.file_checks import find_file_errors
from relay.config.settings import Settings
from tests.unit.checked_settings import HOST, errors_of, listener_table, warnings_of


def test_where_shared_ports_would_help_the_fault_says_so() -> None:
    two = {"listener": [listener_table(), listener_table(name="b", address="0.0.0.0:2525")]}
    (problem,) = find_errors(Settings.model_validate(two))
    assert problem.allowed == "an address for each, or server.reuse_port = true"


def test_the_defaults_have_no_errors_and_no_warnings() -> None:
    assert errors_of({}) == []
    assert warnings_of({}) == []


@pytest.mark.parametrize(
    ("tables", "messages"),
    [
        (
            {"listener": [listener_table(), listener_table(address="127.0.0.1:2526")]},
            ['listener[1].name: "a" is the name of listener 1 too'],
        ),
        (
            {"listener": [listener_table(), listener_table(name="b")]},
            ["listener[1].address: listener 1 listens there already"],
        ),
        (
            {"listener": [listener_table(), listener_table(name="b", address="0.0.0.0:2525")]},
            ["listener[1].address: listener 1 listens there already"],
        ),
        (
            {
                "server": {"reuse_port": True},
                "listener": [listener_table(), listener_table(name="b", address="0.0.0.0:2525")],
            },
            [],
        ),
        (
            {"server": {"reuse_port": True}, "listener": [listener_table(), listener_table(name="b")]},
            ["listener[1].address: listener 1 listens there already"],
        ),
        (
            {"server": {"reuse_port": True}, "metrics": {"address": "0.0.0.0:8025"}},
            ["metrics.address: tracker listens there already"],
        ),
        (
            {"api": {"address": "0.0.0.0:8025"}, "tracker": {"base_url": "http://t.test"}},
            ["api.address: tracker listens there already"],
        ),
        (
            {"tracker": {"address": "localhost:2525"}, "listener": [listener_table()]},
            ["tracker.address: listener 1 listens there already"],
        ),
        (
            {"metrics": {"address": "127.0.0.1:8025"}},
            ["metrics.address: tracker listens there already"],
        ),
        (
            {"listener": [listener_table(tls="starttls", key="/k.pem")]},
            ['listener[0].certificate: is missing: tls = "starttls" needs it'],
        ),
        (
            {"provider": [{"name": "direct", **HOST}]},
            ['provider[0].name: "direct" is built in: delivery to the MX hosts'],
        ),
        (
            {"provider": [{"name": "p", **HOST, "username": "u"}, {"name": "q", **HOST, "password": "s"}]},
            [
                "provider[0].password: is missing: there is a username",
                "provider[1].username: is missing: there is a password",
            ],
        ),
        (
            {"defaults": {"provider": "p", "fallback_providers": ["direct", "q"]}, "domains": {"a.test": {}}},
            [
                'defaults.provider: there is no [[provider]] "p"',
                'defaults.fallback_providers[1]: there is no [[provider]] "q"',
            ],
        ),
        (
            {"domains": {"a.test": {"fallback_providers": ["p"]}}, "identities": {"x@a.test": {"provider": "q"}}},
            [
                'domains."a.test".fallback_providers[0]: there is no [[provider]] "p"',
                'identities."x@a.test".provider: there is no [[provider]] "q"',
            ],
        ),
        (
            {
                "defaults": {"campaign_provider": "p", "campaign_fallback_providers": ["q"]},
                "domains": {"a.test": {"campaign_provider": "r"}, "b.test": {}},
            },
            [
                'defaults.campaign_provider: there is no [[provider]] "p"',
                'defaults.campaign_fallback_providers[0]: there is no [[provider]] "q"',
                'domains."a.test".campaign_provider: there is no [[provider]] "r"',
            ],
        ),
        (
            {
                "listener": [
                    listener_table(reserved_connections=600),
                    listener_table(name="b", address="127.0.0.1:2526", reserved_connections=401),
                ]
            },
            ["listener[1].reserved_connections: 401 are more than the 400 that remain of smtp.max_connections"],
        ),
        (
            {"queue": {"lifetime": "30s"}},
            ["queue.lifetime: ends before the first retry"],
        ),
        (
            {"identities": {"x@a.test": {"reply_tracking": True}}},
            ['identities."x@a.test".reply_tracking: needs the reply_domain of the domain'],
        ),
        (
            {"spam": {"rspamd": "http://r.test:11333", "spamd": "s.test:783"}},
            ["spam.spamd: is set, and rspamd too"],
        ),
    ],
)
def test_contradictions_are_errors(tables: dict[str, Any], messages: list[str]) -> None:
    assert errors_of(tables) == messages


def test_no_identity_limit_exceeds_the_ceiling() -> None:
    tables: dict[str, Any] = {
        "identities": {
            "a@a.test": {"daily_limit": 250},
            "b@a.test": {"daily_limit": 251},
            "c@a.test": {"daily_limit": 0},
        }
    }
    assert errors_of(tables) == [
        'identities."b@a.test".daily_limit: 251 is over limits.identity_daily_ceiling',
        'identities."c@a.test".daily_limit: 0 (no limit) is possible only with limits.identity_daily_ceiling = 0',
    ]
    assert errors_of({**tables, "limits": {"identity_daily_ceiling": 0}}) == []


def test_an_inherited_limit_is_reported_once() -> None:
    tables = {"limits": {"identity_daily": 300}, "identities": {"a@a.test": {}, "b@a.test": {}}}
    assert errors_of(tables) == ["limits.identity_daily: 300 is over limits.identity_daily_ceiling"]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "2000::/3"])
def test_a_network_that_is_half_the_internet_is_refused(network: str) -> None:
    (messages,) = errors_of({"listener": [listener_table(address="0.0.0.0:2525", allow_networks=[network])]})
    problem = f"{network} would make 0.0.0.0:2525 an open relay: any client could send to any address"
    assert messages == f"listener[0].allow_networks[0]: {problem}"


def test_listeners_that_are_no_open_relay() -> None:
    for listener in (
        listener_table(allow_networks=["0.0.0.0/0"]),
        listener_table(address="0.0.0.0:2525", allow_networks=["10.0.0.0/8", "fd00::/16"]),
        listener_table(address="0.0.0.0:2525", kind="inbound", allow_networks=["0.0.0.0/0"]),
    ):
        assert errors_of({"listener": [listener]}) == []


_PROXIED = {"proxy_protocol": True, "trusted_proxies": ["10.0.0.1"]}


def test_a_proxy_makes_an_open_relay_of_a_listener_on_loopback() -> None:
    (message,) = errors_of({"listener": [listener_table(allow_networks=["0.0.0.0/0"], **_PROXIED)]})
    assert message.startswith("listener[0].allow_networks[0]: 0.0.0.0/0 would make 127.0.0.1:2525 an open relay")


@pytest.mark.parametrize("kind", ["submission", "inbound"])
def test_proxies_are_named_and_are_not_the_internet(kind: str) -> None:
    for section in (
        {"listener": [listener_table(kind=kind, proxy_protocol=True)]},
        {"tracker": {"proxy_protocol": True}},
    ):
        (message,) = errors_of(section)
        assert message.endswith("trusted_proxies: is missing: with proxy_protocol only these may connect")
    wide = {"address": "0.0.0.0:2525", "proxy_protocol": True, "trusted_proxies": ["10.0.0.1", "0.0.0.0/0"]}
    assert errors_of({"listener": [listener_table(kind=kind, **wide)]}) == [
        "listener[0].trusted_proxies[1]: 0.0.0.0/0 would let any client pretend any address"
    ]


def test_port_0_is_always_free() -> None:
    assert (
        errors_of({"listener": [listener_table(address="[::1]:0"), listener_table(name="b", address="[::1]:0")]}) == []
    )


def test_a_certificate_must_match_its_key(tmp_path: Path) -> None:
    authority = trustme.CA()
    for name in ("one", "two"):
        made = authority.issue_cert("mail.test")
        made.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        made.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))

    def messages(certificate: str, key: str) -> list[str]:
        listener = listener_table(tls="implicit", certificate=str(tmp_path / certificate), key=str(tmp_path / key))
        settings = Settings.model_validate({"listener": [listener]})
        return [f"{key_text(one.path)}: {one.problem}" for one in find_file_errors(settings)]

    assert messages("one.pem", "one.key") == []
    assert messages("one.pem", "two.key") == [
        f"listener[0].key: the key in {tmp_path}/two.key does not belong to the first certificate in {tmp_path}/one.pem"
    ]
    assert messages("one.pem", "none") == [
        f"listener[0].key: {tmp_path}/none cannot be read: No such file or directory"
    ]


def test_only_postgresql_has_a_password() -> None:
    assert errors_of({"storage": {"url": "postgresql://relay@db/relay", "password": "x"}}) == []
    assert errors_of({"storage": {"password": "x"}}) == ["storage.password: is set, but SQLite has no password"]


def test_postgresql_without_its_driver_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings.model_validate(
        {"server": {"hostname": "mx.acme.test"}, "storage": {"url": "postgresql://db/relay"}}
    )
    assert list(find_file_errors(settings)) == []
    monkeypatch.setattr("relay.config.file_checks.find_spec", lambda _: None)
    assert [(found.problem, found.allowed) for found in find_file_errors(settings)] == [
        ("psycopg is not installed", 'pip install "trackrelay[postgres]"')
    ]


def test_the_dashboard_needs_loopback_or_a_long_secret() -> None:
    strong = "a" * 16
    for admin in (
        {"address": "127.0.0.1:8026"},
        {"address": "[::1]:8026"},
        {"address": "localhost:8026", "secret": strong},
        {"address": "0.0.0.0:8026", "secret": strong},
    ):
        assert errors_of({"admin": admin}) == []
    assert errors_of({"admin": {"address": "0.0.0.0:8026"}}) == [
        "admin.address: 0.0.0.0:8026 exposes all mail to every client that can connect"
    ]
    assert errors_of({"admin": {"address": "192.0.2.1:8026", "secret": "short"}}) == [
        "admin.secret: has 5 characters, so it can be guessed"
    ]
    assert warnings_of({"admin": {"address": "192.0.2.1:8026", "secret": strong}}) == [
        "admin.address: the secret is sent in clear text unless a proxy adds TLS"
    ]
    assert warnings_of({"admin": {"address": "127.0.0.1:8026", "secret": strong}}) == []


def test_a_site_needs_hosts_unless_it_is_a_shipped_one_and_each_pattern_counts_once() -> None:
    assert errors_of({"site": [{"name": "google", "connections": 9}]}) == []
    assert errors_of({"site": [{"name": "gogle"}]}) == [
        "site[0].mx: is missing, and gogle is none of the shipped profiles"
    ]
    twice = {"site": [{"name": "a", "mx": ["*.mx.test"]}, {"name": "b", "mx": ["*.mx.test"]}]}
    assert warnings_of(twice) == ["site[1].mx[0]: has no effect: the site a, which comes before, has the same pattern"]
