"""Settings that contradict each other, and those that are probably not meant."""

from pathlib import Path
from typing import Any

import pytest
import trustme

from relay.config.checks import find_errors, find_warnings
from relay.config.errors import key_text
from relay.config.secret_files import file_findings
from relay.config.settings import Settings

_HOST = {"host": "smtp.test"}


def _wrong(tables: dict[str, Any]) -> list[str]:
    return [f"{key_text(one.path)}: {one.problem}" for one in find_errors(Settings.model_validate(tables))]


def _doubtful(tables: dict[str, Any]) -> list[str]:
    return [f"{key_text(one.path)}: {one.problem}" for one in find_warnings(Settings.model_validate(tables))]


def _listener(**keys: Any) -> dict[str, Any]:
    return {"name": "a", "address": "127.0.0.1:2525", **keys}


def test_the_defaults_are_without_fault_or_doubt() -> None:
    assert _wrong({}) == []
    assert _doubtful({}) == []


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (
            {"listener": [_listener(), _listener(address="127.0.0.1:2526")]},
            [
                'listener[0].name: "a" is the name of two listeners',
                'listener[1].name: "a" is the name of two listeners',
            ],
        ),
        (
            {"listener": [_listener(), _listener(name="b")]},
            ["listener[1].address: listener 1 listens there already"],
        ),
        (
            {"metrics": {"address": "127.0.0.1:8025"}},
            ["metrics.address: tracker listens there already"],
        ),
        (
            {"listener": [_listener(tls="starttls", key="/k.pem")]},
            ['listener[0].certificate: is missing: tls = "starttls" needs it'],
        ),
        (
            {"provider": [{"name": "direct", **_HOST}]},
            ['provider[0].name: "direct" is built in: delivery to the MX hosts'],
        ),
        (
            {"provider": [{"name": "p", **_HOST, "username": "u"}, {"name": "q", **_HOST, "password": "s"}]},
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
            {"queue": {"lifetime": "30s"}},
            ["queue.lifetime: is over before the first retry"],
        ),
        (
            {"identities": {"x@a.test": {"reply_tracking": True}}},
            ['identities."x@a.test".reply_tracking: needs the reply_domain of the domain'],
        ),
    ],
)
def test_contradictions(tables: dict[str, Any], told: list[str]) -> None:
    assert _wrong(tables) == told


def test_no_identity_goes_over_the_ceiling() -> None:
    tables: dict[str, Any] = {
        "identities": {
            "a@a.test": {"daily_limit": 250},
            "b@a.test": {"daily_limit": 251},
            "c@a.test": {"daily_limit": 0},
        }
    }
    assert _wrong(tables) == [
        'identities."b@a.test".daily_limit: 251 is over limits.identity_daily_ceiling',
        'identities."c@a.test".daily_limit: 0 (no limit) is possible only with limits.identity_daily_ceiling = 0',
    ]
    assert _wrong({**tables, "limits": {"identity_daily_ceiling": 0}}) == []


def test_inherited_limits_are_blamed_once() -> None:
    tables = {"limits": {"identity_daily": 300}, "identities": {"a@a.test": {}, "b@a.test": {}}}
    assert _wrong(tables) == ["limits.identity_daily: 300 is over limits.identity_daily_ceiling"]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "2000::/3"])
def test_no_open_relay(network: str) -> None:
    (told,) = _wrong({"listener": [_listener(address="0.0.0.0:2525", allow_networks=[network])]})
    problem = f"{network} would make 0.0.0.0:2525 an open relay: anybody may send to anybody"
    assert told == f"listener[0].allow_networks[0]: {problem}"


def test_what_is_no_open_relay() -> None:
    for listener in (
        _listener(allow_networks=["0.0.0.0/0"]),
        _listener(address="0.0.0.0:2525", allow_networks=["10.0.0.0/8", "fd00::/16"]),
        _listener(address="0.0.0.0:2525", kind="inbound", allow_networks=["0.0.0.0/0"]),
    ):
        assert _wrong({"listener": [listener]}) == []


def test_port_0_is_always_free() -> None:
    assert _wrong({"listener": [_listener(address="[::1]:0"), _listener(name="b", address="[::1]:0")]}) == []


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (
            {"listener": [_listener(auth="required")]},
            "listener[0].auth: nobody can send here: there are no [credentials]",
        ),
        ({"listener": [_listener(certificate="/c.pem")]}, 'listener[0].tls: is "none", so the certificate is not used'),
        (
            {"provider": [{"name": "p", **_HOST, "tls": "none", "username": "u", "password": "s"}]},
            "provider[0].tls: the password travels in the clear",
        ),
        ({"queue": {"delay_notice": "80h"}}, "queue.delay_notice: never comes: the message expires before it"),
        ({"tracker": {"address": "0.0.0.0:80"}}, "tracker.base_url: no reader can reach 0.0.0.0"),
        (
            {"domains": {"a.test": {"return_path": "b.a.test"}}},
            'domains."a.test".return_path: no [[listener]] of kind "inbound" takes what comes back to it',
        ),
        (
            {"identities": {"x@a.test": {"reply_to": "y@a.test", "reply_tracking": True}}},
            'identities."x@a.test".reply_to: is fixed, so replies are not tracked, although reply_tracking is on',
        ),
        (
            {
                "listener": [_listener(kind="inbound")],
                "domains": {"a.test": {"reply_domain": "r.a.test"}},
                "identities": {"x@a.test": {"forward_to": ["me@a.test", "me@R.a.test"]}},
            },
            'identities."x@a.test".forward_to[1]: mail to r.a.test comes to this relay, which has no mailboxes',
        ),
    ],
)
def test_doubts(tables: dict[str, Any], told: str) -> None:
    assert _wrong(tables) == []
    assert _doubtful(tables) == [told]


def test_bounces_may_come_back_by_imap() -> None:
    imap = {"host": "h", "username": "u", "password": "p"}
    assert _doubtful({"defaults": {"return_path": "b.a.test"}, "bounces": {"imap": imap}}) == []


def test_certificates_are_read_and_must_fit_their_keys(tmp_path: Path) -> None:
    authority = trustme.CA()
    for name in ("one", "two"):
        made = authority.issue_cert("mail.test")
        made.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        made.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))

    def told(certificate: str, key: str) -> list[str]:
        listener = _listener(tls="implicit", certificate=str(tmp_path / certificate), key=str(tmp_path / key))
        settings = Settings.model_validate({"listener": [listener]})
        return [f"{key_text(one.path)}: {one.problem}" for one in file_findings(settings)]

    assert told("one.pem", "one.key") == []
    assert told("one.pem", "two.key") == [
        "listener[0].certificate: certificate and key cannot be used together: KEY_VALUES_MISMATCH"
    ]
    assert told("one.pem", "none") == [f"listener[0].key: {tmp_path}/none cannot be read: No such file or directory"]


def test_a_password_needs_a_store_that_has_one() -> None:
    assert _wrong({"storage": {"url": "postgresql://relay@db/relay", "password": "x"}}) == []
    assert _wrong({"storage": {"password": "x"}}) == ["storage.password: SQLite has none"]


def test_postgresql_without_its_driver_is_told_before_a_start_that_could_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings.model_validate(
        {"server": {"hostname": "mx.acme.test"}, "storage": {"url": "postgresql://db/relay"}}
    )
    assert list(file_findings(settings)) == []
    monkeypatch.setattr("relay.config.secret_files.find_spec", lambda _: None)
    assert [(found.problem, found.allowed) for found in file_findings(settings)] == [
        ("psycopg is not installed", 'pip install "trackrelay[postgres]"')
    ]


def test_the_dashboard_is_shown_to_this_machine_or_to_who_knows_a_secret_that_cannot_be_guessed() -> None:
    strong = "a" * 16
    for admin in (
        {"address": "127.0.0.1:8026"},
        {"address": "[::1]:8026"},
        {"address": "localhost:8026", "secret": strong},
        {"address": "0.0.0.0:8026", "secret": strong},
    ):
        assert _wrong({"admin": admin}) == []
    assert _wrong({"admin": {"address": "0.0.0.0:8026"}}) == [
        "admin.address: 0.0.0.0:8026 would show everybody's mail to whoever can reach it"
    ]
    assert _wrong({"admin": {"address": "192.0.2.1:8026", "secret": "short"}}) == [
        "admin.secret: has 5 characters, which can be guessed"
    ]
    assert _doubtful({"admin": {"address": "192.0.2.1:8026", "secret": strong}}) == [
        "admin.address: the secret travels in the clear unless a proxy with TLS stands in front"
    ]
    assert _doubtful({"admin": {"address": "127.0.0.1:8026", "secret": strong}}) == []
