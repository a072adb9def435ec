"""Where settings come from: files merged in order, the environment, and files of secrets."""

from pathlib import Path

from relay.config import check, load
from relay.config.secret_hash import hash_secret
from tests.unit.config_folder import faults_of, folder, warnings_of, write

__all__ = ["folder"]

HASH = hash_secret("secret", bytes(16))


def test_conf_d_merges_in_name_order(folder: Path) -> None:
    write(folder, '[queue]\nlifetime = "2h"\n[[provider]]\nname = "b"\nhost = "b.test"\n', "conf.d/20-b.toml")
    write(
        folder,
        '[queue]\nlifetime = "1h"\nretry = ["5m"]\n[domains."a.test".tracking]\nopens = false\n',
        "conf.d/10-a.toml",
    )
    write(folder, "not read", "conf.d/30.toml.bak")
    text = (
        '[queue]\nretry = ["1m", "2m"]\n[[provider]]\nname = "a"\nhost = "a.test"\n[domains."a.test"]\nprovider = "b"\n'
    )
    settings = load(write(folder, text), {})
    assert settings.queue.lifetime == 7200
    assert list(settings.queue.retry) == [300]
    assert [provider.name for provider in settings.providers] == ["a", "b"]
    assert settings.domains["a.test"].provider == "b"
    assert not settings.domains["a.test"].tracking.opens


def test_faults_of_merged_tables_keep_their_own_file(folder: Path) -> None:
    write(folder, '\n[[provider]]\nname = "b"\nhost = "b b"\n[limits]\nidentity_daily = 900\n', "conf.d/1.toml")
    messages = faults_of(folder, '[[provider]]\nname = "a"\nhost = "a.test"\nport = 0\n[limits]\nidentity_hourly = 5\n')
    assert [fault.partition(": ")[0] + " " + fault.split(": ")[1] for fault in messages] == [
        "conf.d/1.toml:4 provider[1].host",
        "conf.d/1.toml:6 limits.identity_daily",
        "relay.toml:4 provider[0].port",
    ]


def test_the_environment_overrides_the_file(folder: Path) -> None:
    text = '[server]\nhostname = "file.test"\n[[listener]]\nname = "a"\naddress = "127.0.0.1:1"\n'
    environ = {
        "RELAY__SERVER__HOSTNAME": "env.test",
        "RELAY__QUEUE__RETRY": '["1s", "2s"]',
        "RELAY__DELIVERY__IPV6": "false",
        "RELAY__LISTENER__0__ADDRESS": "127.0.0.1:2",
        "RELAY__PROVIDER__0__NAME": "p",
        "RELAY__PROVIDER__0__HOST": "p.test",
        "RELAY__PROVIDER__0__USERNAME": '"u"',
        "RELAY__PROVIDER__0__PASSWORD": "12345",
        "RELAY__DOMAINS__A.TEST__PROVIDER": "p",
        "RELAY_CONFIG": "elsewhere",
        "PATH": "/bin",
    }
    settings = load(write(folder, text), environ)
    assert settings.server.hostname == "env.test"
    assert list(settings.queue.retry) == [1, 2]
    assert settings.delivery.ipv6 is False
    assert settings.listeners[0].port == 2
    assert settings.providers[0].host == "p.test"
    assert settings.providers[0].username == "u"
    assert settings.providers[0].password.get_secret_value() == "12345"
    assert settings.domain_for("x@a.test").provider == "p"


def test_faults_of_the_environment_name_it(folder: Path) -> None:
    environ = {"RELAY__QUEUE__LIFETIME": "-1", "RELAY__LISTENER__7__NAME": "x", "RELAY__SERVER__HOSTNAM": "x"}
    messages = faults_of(folder, "", environ)
    assert messages[0].startswith("environment: listener[7].name: RELAY__LISTENER__7__NAME names no setting")
    assert messages[1].startswith("environment: queue.lifetime: -1 is not a duration")
    assert messages[2].endswith("(did you mean hostname?)")


def test_a_variable_that_is_not_utf_8_is_a_fault(folder: Path) -> None:
    environ = {"RELAY__SERVER__HOSTNAME": "a\udcff", "RELAY__SERVER__\udcff": "x"}
    assert faults_of(folder, "", environ) == [
        "environment: RELAY__SERVER__HOSTNAME: is not UTF-8; allowed: UTF-8",
        r"environment: RELAY__SERVER__\udcff: is not UTF-8; allowed: UTF-8",
    ]


def test_secrets_come_from_files(folder: Path) -> None:
    text = """\
[[provider]]
name = "p"
host = "p.test"
username = "u"
password_file = "p.secret"
[credentials.app]
secret_hash_file = "app.hash"
[tracker]
keys_file = "keys"
[storage]
url_file = "url"
"""
    key = "k1:" + "A" * 43 + "="
    write(folder, " pass word \n", "p.secret")
    write(folder, HASH + "\n", "app.hash")
    write(folder, f"{key}\nk2:{key[3:]}\n", "keys")
    write(folder, "sqlite:///other.db\n", "url")
    settings, faults, warnings = check(write(folder, text), {})
    assert (faults, warnings) == ((), ())
    assert settings is not None
    assert settings.providers[0].password.get_secret_value() == " pass word "
    assert settings.credentials["app"].verify("secret")
    assert [one.get_secret_value() for one in settings.tracker.keys] == [key, f"k2:{key[3:]}"]
    assert settings.storage.url == "sqlite:///other.db"


def test_systemd_credentials_come_first(folder: Path) -> None:
    systemd_folder = folder / "credentials"
    systemd_folder.mkdir()
    (systemd_folder / "a").write_text("from systemd")
    write(folder, "beside", "a")
    write(folder, "beside", "b")
    text = "".join(
        f'[[provider]]\nname = "{name}"\nhost = "h"\nusername = "u"\npassword_file = "{name}"\n' for name in ("a", "b")
    )
    settings, _, warnings = check(write(folder, text), {"CREDENTIALS_DIRECTORY": str(systemd_folder)})
    assert settings is not None
    assert [one.password.get_secret_value() for one in settings.providers] == ["from systemd", "beside"]
    assert warnings == ()


def test_a_missing_secret_file_and_a_secret_given_twice(folder: Path) -> None:
    text = """\
[[provider]]
name = "p"
host = "h"
username = "u"
password_file = "none"
[credentials.a]
secret_hash = "x"
secret_hash_file = "none"
"""
    messages = faults_of(folder, text)
    assert messages[0] == "relay.toml:5: provider[0].password_file: none cannot be read: No such file or directory"
    assert "relay.toml:8: credentials.a.secret_hash_file: secret_hash is set too" in messages[2]
    assert len(messages) == 3


def test_a_secret_that_others_can_read_is_a_warning(folder: Path) -> None:
    write(folder, "pw", "s").chmod(0o640)
    text = '[[provider]]\nname = "p"\nhost = "h"\nusername = "u"\npassword_file = "s"\n'
    assert warnings_of(folder, text) == [
        "relay.toml:5: provider[0].password_file: the group can read the secret: s has mode 0640; allowed: 0600"
    ]
    file = write(folder, f'[credentials.a]\nsecret_hash = "{HASH}"\n')
    file.chmod(0o644)
    _, _, warnings = check(file, {})
    assert [(warning.line, warning.key) for warning in warnings] == [(2, "credentials.a.secret_hash")]


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    text = '[server]\ndata_dir = "data"\n'
    assert load(write(folder, text), {}).server.data_dir == folder / "data"
