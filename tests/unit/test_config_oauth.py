"""The OAuth2 tables of the configuration: what each preset needs, what contradicts it, what nothing shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from relay.config import check
from relay.config.digest import settings_digest
from relay.config.oauth_checks import oauth_errors, oauth_warnings
from relay.config.settings import Settings
from relay.config.show import toml_of
from tests.unit.oauth_parts import MICROSOFT, USER, certificate_pem, key_pem, service_account, settings_with

GOOGLE = {"preset": "google", "service_account": service_account()}

GOOGLE_USER = {"preset": "google", "flow": "user", "client_id": "app", "client_secret": "s"}

CUSTOM = {"preset": "custom", "client_id": "app", "client_secret": "s", "token_url": "https://login.test/token"}


def _service_account_at(url: str) -> str:
    """Return a key that names this token endpoint, as TOML."""
    return f"service_account = {json.dumps(service_account(token_uri=url))}"


def _errors(oauth: dict[str, Any], **provider: Any) -> list[str]:
    return [
        f"{'.'.join(map(str, one.path[2:]))}: {one.problem}" for one in oauth_errors(settings_with(oauth, **provider))
    ]


@pytest.mark.parametrize("oauth", [dict(MICROSOFT), GOOGLE, GOOGLE_USER, CUSTOM, dict(USER)])
def test_a_table_that_has_all_it_needs_has_no_errors(oauth: dict[str, Any]) -> None:
    assert _errors(oauth) == []


@pytest.mark.parametrize(
    ("oauth", "messages"),
    [
        (
            {"preset": "microsoft", "client_id": "a", "client_secret": "s"},
            ["oauth.tenant: is missing: the preset is microsoft"],
        ),
        (
            {"preset": "microsoft", "tenant": "t", "client_id": "a"},
            ['oauth.client_secret: is missing: the flow is "app"'],
        ),
        ({**MICROSOFT, "certificate": certificate_pem()}, ["oauth.certificate: is set, and client_secret too"]),
        ({"preset": "google"}, ["oauth.service_account: is missing: the preset is google"]),
        (
            {**GOOGLE, "client_id": "a"},
            ['oauth.client_id: is set, and the preset google with flow = "app" has no use for it'],
        ),
        (
            {**GOOGLE, "flow": "user"},
            [
                "oauth.client_id: is missing: the preset is google",
                "oauth.client_secret: is missing: the preset is google",
                'oauth.service_account: is set, and the preset google with flow = "user" has no use for it',
            ],
        ),
        (
            {"preset": "custom", "client_secret": "s"},
            ["oauth.token_url: is missing: the preset is custom", "oauth.client_id: is missing: the preset is custom"],
        ),
        ({**USER, "device_url": ""}, ['oauth.flow: "user" needs a page where the person logs in']),
    ],
)
def test_what_is_missing_or_contradicts_the_preset_is_named(oauth: dict[str, Any], messages: list[str]) -> None:
    assert _errors(oauth) == messages


@pytest.mark.parametrize(
    ("provider", "messages"),
    [
        ({"password": "p"}, ["password: is set, and an oauth table too"]),
        ({"username": ""}, ["username: is missing: a login names the mailbox of the token"]),
        ({"tls": "none"}, ["tls: the access token would be sent in clear text"]),
        ({"tls": "none", "host": "127.0.0.1"}, []),
        ({"name": "bounces.imap"}, ["name: bounces.imap is the name of the bounce mailbox"]),
    ],
)
def test_the_section_around_it_is_checked_too(provider: dict[str, Any], messages: list[str]) -> None:
    assert _errors(dict(MICROSOFT), **provider) == messages


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('token_url = "http://login.test/token"', "secrets would be sent in clear text"),
        ('token_url = "login.test"', "is not the URL of an endpoint"),
        ('token_url = "https://u:p@login.test/"', "is not the URL of an endpoint"),
        ('client_secret_expires = "soon"', "is not a date"),
        ('service_account = "nonsense"', "the key of the service account is not JSON"),
        ('service_account = \'{"client_email": "a"}\'', 'has no "private_key"'),
        (_service_account_at("http://accounts.test/token"), "secrets would be sent in clear text"),
        (_service_account_at("file:///token"), "is not the URL of an endpoint"),
        ('certificate = "nonsense"', "the certificate has no certificate in PEM form"),
        ('preset = "yahoo"', '"yahoo" is not one of the choices'),
        ('flow = "both"', '"both" is not one of the choices'),
        ('client_secret_file = "missing.secret"', "missing.secret"),
        ('password = "p"', "unknown key"),
    ],
)
def test_a_bad_value_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    config = tmp_path / "relay.toml"
    preset = "" if line.startswith("preset") else 'preset = "custom"'
    head = '[server]\nhostname = "relay.test"\n[[provider]]\nname = "up"\nhost = "smtp.test"\nusername = "u"\n'
    config.write_text(f"{head}[provider.oauth]\n{line}\n{preset}\n")
    settings, faults, _ = check(config, {})
    assert settings is None
    found = [one for one in faults if problem in str(one)]
    assert found, faults
    assert ":8: " in str(found[0])


def test_a_certificate_and_its_key_belong_together() -> None:
    other = key_pem().replace("BEGIN PRIVATE KEY", "BEGIN PRIVATE KEY")
    pem = certificate_pem().replace(other, "")
    with pytest.raises(ValueError, match="no private key in PEM form"):
        settings_with({**MICROSOFT, "client_secret": "", "certificate": pem})


@pytest.mark.parametrize(
    ("day", "warned"), [("2027-03-01", True), ("2027-04-20", False), ("2026-01-01", True), ("", False)]
)
def test_a_client_secret_that_expires_within_30_days_is_a_warning(day: str, warned: bool) -> None:
    now = 1_802_000_000.0  # 2027-02-07
    found = list(oauth_warnings(settings_with({**MICROSOFT, "client_secret_expires": day}), now))
    assert bool(found) is warned
    if day == "2027-03-01":
        assert "expires in 22 days (2027-03-01)" in found[0].problem


def test_a_day_may_be_a_date_of_toml(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    head = '[server]\nhostname = "relay.test"\n[[provider]]\nname = "up"\nhost = "smtp.test"\nusername = "u"\n'
    oauth = (
        'preset = "microsoft"\ntenant = "t"\nclient_id = "a"\nclient_secret = "s"\nclient_secret_expires = 2099-03-01\n'
    )
    config.write_text(f"{head}[provider.oauth]\n{oauth}")
    config.chmod(0o600)
    settings, faults, _ = check(config, {})
    assert not faults
    assert settings is not None
    assert 'client_secret_expires = "2099-03-01"' in toml_of(settings)


def test_a_secret_file_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    (tmp_path / "google.json").write_text(service_account())
    (tmp_path / "google.json").chmod(0o644)
    head = '[server]\nhostname = "relay.test"\n[[provider]]\nname = "up"\nhost = "smtp.test"\nusername = "u"\n'
    config.write_text(f'{head}[provider.oauth]\npreset = "google"\nservice_account_file = "google.json"\n')
    settings, faults, warnings = check(config, {})
    assert settings is not None, faults
    assert any("every user can read the secret" in str(one) for one in warnings)


def test_the_settings_are_shown_without_secrets() -> None:
    for oauth in ({**MICROSOFT, "client_secret": "hush"}, GOOGLE):
        shown = toml_of(settings_with(oauth))
        assert "hush" not in shown
        assert "PRIVATE KEY" not in shown


def test_another_client_secret_is_another_digest() -> None:
    def digest(secret: str) -> str:
        return settings_digest(settings_with({**MICROSOFT, "client_secret": secret}).provider("up"), bytes(32))

    assert digest("one") == digest("one")
    assert digest("one") != digest("two")


def test_the_bounce_mailbox_needs_a_password_or_oauth(tmp_path: Path) -> None:
    from relay.config.checks import find_errors

    imap = {"host": "h", "username": "u"}
    bare = Settings.model_validate({"bounces": {"imap": imap}})
    assert [".".join(map(str, one.path)) for one in find_errors(bare)] == ["bounces.imap.password"]
    assert not list(find_errors(Settings.model_validate({"bounces": {"imap": {**imap, "oauth": dict(MICROSOFT)}}})))
