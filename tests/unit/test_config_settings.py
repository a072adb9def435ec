"""The settings as values: what they inherit and what they refuse."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from relay.config.secret_hash import hash_secret
from relay.config.settings import Domain, Identity, Settings, Tracking
from relay.mail.lane import DIRECT


def _settings(**tables: Any) -> Settings:
    return Settings.model_validate(tables)


def test_the_defaults_are_a_working_relay_on_loopback() -> None:
    settings = Settings()
    (listener,) = settings.listeners
    assert (listener.host, listener.port, listener.kind, listener.auth) == ("127.0.0.1", 2525, "submission", "optional")
    assert settings.queue.lifetime == 72 * 3600
    assert settings.queue.retry[0] == 60
    assert settings.render.workers >= 1
    assert settings.server.hostname
    assert settings.providers_for("a@b.test") == (DIRECT,)
    assert settings.tracking_for("b.test").base_url == "http://127.0.0.1:8025"


def test_names_of_domains_and_identities_ignore_case() -> None:
    settings = _settings(domains={"ACME.test": {"reply_domain": "R.acme.test"}}, identities={"Ann@Acme.Test": {}})
    assert settings.domain_for("x@acme.TEST").reply_domain == "r.acme.test"
    assert settings.identity_for("ANN@acme.test") is settings.senders.identities["ann@acme.test"]
    assert settings.identity_for("bob@acme.test") is None


def test_a_domain_inherits_unset_values() -> None:
    settings = _settings(
        provider=[{"name": "p", "host": "h.test"}, {"name": "q", "host": "h.test"}],
        defaults={
            "provider": "p",
            "fallback_providers": ["q", "direct"],
            "bcc": ["archive@a.test"],
            "tracking": {"clicks": False, "pixel": "start"},
        },
        domains={
            "a.test": {"tracking": {"clicks": True, "base_url": "https://t.a.test/"}},
            "b.test": {"provider": "q"},
        },
    )
    first, second = settings.domain_for("x@a.test"), settings.domain_for("x@b.test")
    assert first.provider == "p"
    assert first.bcc == ("archive@a.test",)
    assert (first.tracking.clicks, first.tracking.opens, first.tracking.pixel) == (True, True, "start")
    assert first.tracking.base_url == "https://t.a.test"
    assert second.provider == "q"
    assert second.tracking.clicks is False
    assert settings.providers_for("x@b.test") == ("q", "direct")
    assert settings.providers_for("x@elsewhere.test") == ("p", "q", "direct")


def test_fields_hold_the_values_of_the_file() -> None:
    tables: dict[str, Any] = {"domains": {"a.test": {"provider": "q"}}, "identities": {"x@a.test": {}}}
    settings = _settings(defaults={"bcc": ["archive@a.test"]}, limits={"identity_hourly": 10}, **tables)
    assert settings.domains == {"a.test": Domain(provider="q")}
    assert settings.identities == {"x@a.test": Identity()}
    assert settings.defaults.tracking == Tracking()


def test_a_copy_with_other_defaults_inherits_from_these() -> None:
    tables: dict[str, Any] = {"domains": {"a.test": {}}, "identities": {"x@a.test": {}}}
    first = _settings(limits={"identity_hourly": 10}, defaults={"provider": "p"}, **tables)
    second = _settings(
        limits={"identity_hourly": 30},
        defaults={"provider": "q"},
        domains=first.domains,
        identities=first.identities,
    )
    assert (first.senders.identities["x@a.test"].hourly_limit, first.domain_for("a.test").provider) == (10, "p")
    assert (second.senders.identities["x@a.test"].hourly_limit, second.domain_for("a.test").provider) == (30, "q")


def test_resolved_settings_show_inherited_values() -> None:
    settings = _settings(limits={"identity_hourly": 10}, domains={"a.test": {}}, identities={"x@a.test": {}})
    assert settings.resolved().identities["x@a.test"].hourly_limit == 10
    assert settings.resolved().domains["a.test"].tracking.base_url == settings.tracker.base_url


def test_an_identity_inherits_limits_and_bcc() -> None:
    settings = _settings(
        limits={"identity_hourly": 10, "identity_daily": 50},
        domains={"a.test": {"bcc": ["copy@a.test"]}},
        identities={
            "x@a.test": {},
            "y@a.test": {"hourly_limit": 20, "daily_limit": 60, "bcc": [], "provider": "direct"},
        },
    )
    assert (
        settings.senders.identities["x@a.test"].hourly_limit,
        settings.senders.identities["x@a.test"].daily_limit,
    ) == (10, 50)
    assert (
        settings.senders.identities["y@a.test"].hourly_limit,
        settings.senders.identities["y@a.test"].daily_limit,
    ) == (20, 60)
    assert settings.bcc_for("x@a.test") == ("copy@a.test",)
    assert settings.bcc_for("y@a.test") == ()
    assert settings.bcc_for("unlisted@a.test") == ("copy@a.test",)
    assert settings.bcc_for("who@else.test") == ()


def test_without_a_tracker_nothing_is_tracked_unless_a_domain_has_its_own() -> None:
    settings = _settings(tracker={"address": ""}, domains={"a.test": {"tracking": {"base_url": "https://t.a.test"}}})
    assert not settings.tracking_for("b.test").opens
    assert not settings.tracking_for("b.test").clicks
    assert settings.tracking_for("a.test").opens


def test_the_base_url_follows_the_address_of_the_tracker() -> None:
    assert _settings(tracker={"address": "[::1]:9000"}).tracker.base_url == "http://[::1]:9000"


def test_relative_paths_are_in_the_data_directory() -> None:
    settings = _settings(server={"data_dir": "/srv/relay"}, log={"file": "relay.log"})
    assert settings.sqlite_path == Path("/srv/relay/relay.db")
    assert settings.log_file == Path("/srv/relay/relay.log")


def test_absolute_paths_and_other_stores_are_unchanged() -> None:
    settings = _settings(storage={"url": "postgresql://relay@db/relay"}, admin={"socket": ""})
    assert settings.sqlite_path is None
    assert settings.log_file is None
    assert _settings(storage={"url": "sqlite:////tmp/x.db"}).sqlite_path == Path("/tmp/x.db")


def test_the_ehlo_name_defaults_to_the_hostname() -> None:
    assert _settings(server={"hostname": "mx.a.test"}).helo_name == "mx.a.test"
    assert _settings(server={"hostname": "mx.a.test"}, delivery={"helo": "out.a.test"}).helo_name == "out.a.test"


def test_credentials_verify_their_secret_and_do_not_show_it() -> None:
    made = hash_secret("s3cret", bytes(16))
    settings = _settings(
        credentials={"app": {"secret_hash": made}}, provider=[{"name": "p", "host": "h", "password": "pw"}]
    )
    assert settings.credentials["app"].verify("s3cret")
    assert not settings.credentials["app"].verify("secret")
    assert made not in repr(settings)
    assert "pw" not in repr(settings.providers)
    assert settings.providers[0].password == SecretStr("pw")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().queue.lifetime = 1.0


@pytest.mark.parametrize(
    "tables",
    [
        {"domains": {"a.test": {}, "A.test": {}}},
        {"identities": {"x@a.test": {}, "X@a.test": {}}},
        {"smtp": {"max_errors": True}},
        {"smtp": {"max_errors": "20"}},
        {"delivery": {"ipv6": "yes"}},
        {"delivery": {"port": 0}},
        {"queue": {"lifetime": "0s"}},
        {"storage": {"url": "mysql://x"}},
        {"storage": {"url": "sqlite:///"}},
        {"tracker": {"keys": ["k1:" + "A" * 44, "k1:" + "B" * 44]}},
        {"defaults": {"tracking": {"exclude_hosts": ["*internal"]}}},
        {"listeners": [{"name": "a", "address": "127.0.0.1:1"}]},
    ],
)
def test_settings_that_cannot_hold_are_refused(tables: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(tables)
