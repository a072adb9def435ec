"""The settings in force as text, and the commands that print them."""

import json
import tomllib
from pathlib import Path

from click.testing import CliRunner

from relay.cli.config import config
from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.config.show import toml_of
from tests.ports import free_port

_HASH = hash_secret("hunter2", bytes(16))

_KEY = "k1:" + "A" * 43 + "="

_SETTINGS = Settings.model_validate(
    {
        "storage": {"url": "postgresql://u:hunter2@h/d?password=hunter2"},
        "tracker": {"keys": [_KEY]},
        "provider": [{"name": "p", "host": "h", "username": 'a"\\\x7f', "password": "hunter2"}],
        "domains": {"a.test": {"dkim": {"selectors": ["s1"]}, "tracking": {"opens": False}}},
        "identities": {"x@a.test": {"display_name": "Zoë ✉"}},
        "credentials": {"app": {"secret_hash": _HASH}},
        "bounces": {
            "expire": {"mailbox_full": "14d"},
            "imap": {"host": "h", "username": "u", "password": "hunter2"},
        },
        "delivery": {"allow_networks": ["10.0.0.0/8"]},
    }
)


def test_settings_are_shown_as_toml_with_secrets_masked() -> None:
    text = toml_of(_SETTINGS.resolved())
    assert not any(secret in text for secret in ("hunter2", _HASH, _KEY))
    shown = tomllib.loads(text)
    assert shown["provider"][0]["password"] == "***"
    assert shown["storage"]["url"] == "postgresql://u:***@h/d?password=***"
    assert shown["credentials"]["app"]["secret_hash"] == ["***"]
    assert shown["provider"][0]["username"] == 'a"\\\x7f'
    assert shown["queue"]["lifetime"] == "72h"


def test_shown_settings_read_back_as_the_same_settings() -> None:
    shown = tomllib.loads(toml_of(_SETTINGS.resolved()))
    shown["tracker"]["keys"] = [_KEY]
    shown["credentials"]["app"]["secret_hash"] = _HASH
    shown["storage"]["url"] = _SETTINGS.storage.url
    shown["provider"][0]["password"] = shown["bounces"]["imap"]["password"] = "hunter2"
    assert Settings.model_validate(shown).resolved() == _SETTINGS.resolved()


def test_check_prints_ok(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    # There may be a relay at the usual ports.
    tracker = f'[tracker]\naddress = "127.0.0.1:{free_port()}"\n'
    listener = f'[[listener]]\nname = "submission"\naddress = "127.0.0.1:{free_port()}"\n'
    file.write_text(f'[queue]\ndelay_notice = "100h"\n{tracker}{listener}')
    result = CliRunner().invoke(config, ["check", "-c", str(file)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{file}: ok\n"
    assert result.stderr == f"warning: {file}:2: queue.delay_notice: is never sent: the message expires first\n"


def test_check_prints_all_faults_and_exits_78(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[server]\nhostnam = "x"\n[queue]\nretry = []\n')
    result = CliRunner().invoke(config, ["check"], env={"RELAY_CONFIG": str(file)})
    assert result.exit_code == 78
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["server.hostnam", "queue.retry"]
    assert result.stdout == ""


def test_show_prints_toml_or_json(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[server]\nhostname = "mail.test"\n')
    shown = CliRunner().invoke(config, ["show", "-c", str(file)])
    as_json = CliRunner().invoke(config, ["show", "-c", str(file), "--json"])
    assert tomllib.loads(shown.stdout) == json.loads(as_json.stdout)
    assert json.loads(as_json.stdout)["server"]["hostname"] == "mail.test"


def test_show_rejects_what_check_rejects(tmp_path: Path) -> None:
    assert CliRunner().invoke(config, ["show", "-c", str(tmp_path / "none")]).exit_code == 78
