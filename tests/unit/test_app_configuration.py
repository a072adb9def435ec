"""The configuration of a running relay: what is in force, and how the file differs."""

import os
from pathlib import Path

import pytest

from relay.app.configuration import Configuration
from relay.cli.config import marked_toml
from relay.config import load

FILE = '[server]\ndata_dir = "data"\nhostname = "relay.test"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "relay.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    return file


@pytest.fixture
def configuration(path: Path) -> Configuration:
    return Configuration(load(path, {}), path, {})


def _reload(configuration: Configuration) -> tuple[str, ...]:
    found = configuration.read()
    assert found.settings is not None
    assert found.rules is not None
    return configuration.use(found.settings, found.rules)


def test_a_file_that_changed_is_reported_until_a_reload(configuration: Configuration, path: Path) -> None:
    assert configuration.compare().state == "in force"
    path.write_text(f'{FILE}# a comment\n[queue]\nlifetime = "48h"\n[log]\nlevel = "debug"\n')
    assert configuration.compare() == configuration.compare()
    assert (configuration.compare().state, configuration.compare().changed) == ("changed", ("queue", "log"))
    assert _reload(configuration) == ("queue", "log")
    assert configuration.compare().state == "in force"


def test_files_beside_the_configuration_count_too(configuration: Configuration, path: Path) -> None:
    assert configuration.compare().state == "in force"
    (path.parent / "conf.d").mkdir()
    (path.parent / "conf.d" / "p.toml").write_text('[[provider]]\nname = "p"\nhost = "h"\npassword_file = "s"\n')
    secret = path.parent / "s"
    assert configuration.compare().state == "faulty"
    secret.write_text("one")
    (path.parent / "conf.d" / "p.toml").write_text(
        '[[provider]]\nname = "p"\nhost = "h"\nusername = "u"\npassword_file = "s"\n'
    )
    assert configuration.compare().changed == ("provider",)
    _reload(configuration)
    assert configuration.compare().state == "in force"
    secret.write_text("two!")
    assert configuration.compare().changed == ("provider",)
    _reload(configuration)
    (path.parent / "bounce_rules.toml").write_text("x = [")
    assert configuration.compare().state == "faulty"


@pytest.mark.parametrize(
    "storage",
    [
        'url = "postgresql://relay@h/d"\npassword = "a b%"',
        'url = "postgresql://relay@h/d"\npassword_file = "secret"',
        'url = "postgresql://relay:a%20b%25@h/d"',
        'url = "postgresql://relay@h/d?sslmode=disable&password=a%20b%25"',
        'url = "postgresql:///d?host=/run/x&user=relay&password=a%20b%25"',
    ],
)
def test_the_password_of_the_database_is_the_one_in_the_file_now(
    configuration: Configuration, path: Path, storage: str
) -> None:
    assert configuration.storage_password() == ""
    (path.parent / "secret").write_text("a b%\n")
    (path.parent / "secret").chmod(0o600)
    path.write_text(f"{FILE}[storage]\n{storage}\n")
    assert configuration.storage_password() == "a b%"


def test_an_unchanged_file_is_not_read_again(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration.compare()
    monkeypatch.setattr(configuration, "read", None)
    assert configuration.compare().state == "in force"


def test_what_needs_a_restart_stays_named(configuration: Configuration, path: Path) -> None:
    path.write_text(f'{FILE}[log]\nlevel = "debug"\n')
    for changed in (("log",), (), ()):
        assert _reload(configuration) == changed
        assert configuration.restart_needed == ("log",)
        assert configuration.in_force.log.level == "info"
    path.write_text(FILE)
    _reload(configuration)
    assert configuration.restart_needed == ()


def test_settings_are_shown_with_the_differences_of_the_file(configuration: Configuration, path: Path) -> None:
    path.write_text(
        f'{FILE}[queue]\nlifetime = "48h"\n[log]\nlevel = "debug"\n[storage]\npassword = "x"\n'
        'url = "postgresql://u:pw@h/d"\n[[provider]]\nname = "p"\nhost = "h"\n[domains."a.test"]\n'
    )
    shown = configuration.shown()
    text = marked_toml(shown["settings"], shown["differences"])  # type: ignore[arg-type]
    lines = text.splitlines()
    assert 'lifetime = "72h"  # the file has "48h": reload' in lines
    assert 'level = "info"  # the file has "debug": restart' in lines
    assert 'password = ""  # the file has another: restart' in lines
    (provider,) = (line for line in lines if line.startswith("#   [provider] "))
    assert 'name = "p"' in provider
    assert provider.endswith("(reload)")
    assert any(line.startswith('#   domains."a.test" ') for line in lines)
    assert "pw" not in text

    _reload(configuration)
    shown = configuration.shown()
    needs = {tuple(one["path"]): one["needs"] for one in shown["differences"]}  # type: ignore[attr-defined]
    assert needs == {("log", "level"): "restart", ("storage", "url"): "restart", ("storage", "password"): "restart"}


def test_a_file_with_faults_has_no_differences(configuration: Configuration, path: Path) -> None:
    path.write_text(f"{FILE}[queue]\nlifetime = 'x'\n")
    shown = configuration.shown()
    assert shown["differences"] == []
    assert "queue.lifetime" in str(shown["faults"])


def test_a_relay_without_a_file(configuration: Configuration) -> None:
    alone = Configuration(configuration.in_force, None, os.environ)
    assert alone.compare().state == "in force"
    assert alone.read().faults == ("this server was started without a configuration file",)
