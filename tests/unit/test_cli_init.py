"""The first run: a configuration that works as it is written, and nothing replaced."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.config import check


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
    [(("--domain", "no domain"), 78), (("--domain", "acme.test", "--provider", "smtp.example.net:x"), 64)],
)
def test_wrong_values_leave_nothing_behind(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    assert init(tmp_path, *arguments).exit_code == code
    assert list(tmp_path.iterdir()) == []
