"""The first run: a configuration that works as it is written, and nothing replaced."""

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.config import check
from relay.config.certificates import read_certificate
from relay.config.self_signed import self_signed_certificate


def init(folder: Path, *arguments: str) -> Result:
    common = ["init", "-c", str(folder / "relay.toml"), "--data-dir", str(folder / "data"), "--no-doctor"]
    return CliRunner().invoke(main, [*common, *arguments])


def test_the_configuration_has_no_faults_and_the_key_is_made(tmp_path: Path) -> None:
    result = init(tmp_path, "--domain", "Acme.test")
    assert result.exit_code == 0, result.output
    settings, faults, _ = check(tmp_path / "relay.toml", {})
    assert faults == ()
    assert settings is not None
    assert settings.server.hostname == "mail.acme.test"
    assert list(settings.domains) == ["acme.test"]
    key = tmp_path / "data" / "dkim" / "acme.test" / "s1.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "s1._domainkey.acme.test" in result.output
    assert "password rk_app1_" in result.output


def test_a_provider_has_its_password_in_a_file_of_its_own(tmp_path: Path) -> None:
    login = ("--provider", "smtp.example.net:465", "--username", "acme", "--password", "s3cret")
    assert init(tmp_path, "--domain", "acme.test", *login).exit_code == 0
    settings, faults, warnings = check(tmp_path / "relay.toml", {})
    assert (faults, warnings) == ((), ())
    assert settings is not None
    (provider,) = settings.providers
    assert (provider.host, provider.port, provider.tls) == ("smtp.example.net", 465, "implicit")
    assert provider.password.get_secret_value() == "s3cret"
    assert settings.defaults.provider == "provider"
    assert "s3cret" not in (tmp_path / "relay.toml").read_text()
    assert (tmp_path / "provider.secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("form", ["zone", "json"])
def test_records_for_a_program_are_all_of_the_standard_output(tmp_path: Path, form: str) -> None:
    result = init(tmp_path, "--domain", "acme.test", "--format", form)
    assert result.exit_code == 0
    if form == "json":
        assert any(one["name"] == "s1._domainkey.acme.test" for one in json.loads(result.stdout))
    else:
        assert all(line.startswith(";") or " IN " in line for line in result.stdout.splitlines())
    assert "rk_app1_" not in result.stdout
    assert "rk_app1_" in result.stderr


def test_a_key_that_exists_is_used(tmp_path: Path) -> None:
    assert init(tmp_path, "--domain", "acme.test").exit_code == 0
    key = tmp_path / "data" / "dkim" / "acme.test" / "s1.pem"
    before = key.read_bytes()
    for name in ("relay.toml", "app1.hash"):
        (tmp_path / name).unlink()
    assert init(tmp_path, "--domain", "acme.test").exit_code == 0
    assert key.read_bytes() == before


def test_nothing_that_exists_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("# mine")
    refused = init(tmp_path, "--domain", "acme.test")
    assert refused.exit_code == 73
    assert "relay.toml" in refused.output
    assert (tmp_path / "relay.toml").read_text() == "# mine"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--domain", "no domain"), 78),
        (("--domain", "acme.test", "--provider", "smtp.example.net:x"), 64),
        (("--domain", "acme.test", "--provider", "smtp://smtp.example.net"), 64),
        (("--domain", "acme.test", "--username", "ada"), 64),
        (("--domain", "acme.test", "--username", "ada", "--provider", "smtp.example.net"), 64),
        (("--domain", "acme.test", "--listen", "0.0.0.0:http"), 64),
        (("--domain", "acme.test", "--listen", "0.0.0.0", "--hostname", "not a name"), 78),
        (("--domain", "acme.test", "--listen", "0.0.0.0", "--certificate", "/nowhere/mail.pem"), 78),
    ],
)
def test_wrong_values_leave_nothing_behind(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    assert init(tmp_path, *arguments).exit_code == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--provider", "smtp://smtp.example.net"), '"smtp://smtp.example.net" is not HOST or HOST:PORT'),
        (("--username", "ada"), "name it with --provider"),
        (("--username", "ada", "--provider", "smtp.example.net"), "set RELAY_PROVIDER_PASSWORD or use --password"),
    ],
)
def test_the_error_of_a_wrong_option_names_what_would_be_right(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in init(tmp_path, "--domain", "acme.test", *arguments).output


def test_a_folder_that_cannot_be_made_is_named_without_a_number_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = CliRunner().invoke(
        main, ["init", "--domain", "acme.test", "--no-doctor", "-c", str(tmp_path / "file" / "relay.toml")]
    )
    assert refused.exit_code == 73
    assert "Errno" not in refused.output
    assert str(tmp_path / "file") in refused.output


def test_applications_of_other_machines_need_a_login_under_tls(tmp_path: Path) -> None:
    result = init(tmp_path, "--domain", "acme.test", "--listen", "0.0.0.0", "--base-url", "https://t.acme.test")
    assert result.exit_code == 0, result.output
    settings, faults, warnings = check(tmp_path / "relay.toml", {})
    assert (faults, warnings) == ((), ())
    assert settings is not None
    (listener,) = settings.listeners
    assert (listener.address, listener.tls, listener.auth) == ("0.0.0.0:2525", "starttls", "required")
    assert not listener.allows("127.0.0.1")
    assert (settings.tracker.address, settings.tracker.base_url) == ("0.0.0.0:8025", "https://t.acme.test")
    assert listener.certificate is not None
    assert listener.certificate.stat().st_mode & 0o777 == 0o600
    assert read_certificate(listener.certificate).names == ("mail.acme.test",)
    assert "host 0.0.0.0:2525  STARTTLS" in result.output


def test_a_certificate_that_is_there_is_used(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(self_signed_certificate("mail.acme.test", time.time()))
    result = init(tmp_path, "--domain", "acme.test", "--listen", "[::]:465", "--certificate", str(own))
    assert result.exit_code == 0, result.output
    settings, _, _ = check(tmp_path / "relay.toml", {})
    assert settings is not None
    (listener,) = settings.listeners
    assert (listener.address, listener.tls, listener.certificate) == ("[::]:465", "implicit", own)
    assert settings.tracker.address == "[::]:8025"
    assert not (tmp_path / "listener.pem").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_secrets_are_of_the_user_who_has_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 997, 996)
    result = init(tmp_path, "--domain", "acme.test", "--listen", "::")
    assert result.exit_code == 0, result.output
    for name in ("app1.hash", "listener.pem"):
        made = (tmp_path / name).stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (997, 996, 0o600)
    assert (tmp_path / "relay.toml").stat().st_uid == 0
    assert "LoadCredential" not in result.output
