"""Loading: files, conf.d, environment, secrets in files, and every fault with its line."""

from pathlib import Path

import pytest

from relay.config import ConfigError, check, load
from relay.config.secret_hash import hash_secret
from tests.shared import shared

_HASH = hash_secret("secret", bytes(16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def _write(folder: Path, text: str, name: str = "relay.toml") -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    return file


def _faults(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The faults of a configuration, the folder left out."""
    settings, faults, _ = check(_write(folder, text), environ or {})
    assert (settings is None) == bool(faults)
    return [str(fault).replace(f"{folder}/", "") for fault in faults]


def _warnings(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    settings, faults, warnings = check(_write(folder, text), environ or {})
    assert settings is not None, faults
    return [str(warning).replace(f"{folder}/", "") for warning in warnings]


def test_an_empty_file_is_a_configuration(folder: Path) -> None:
    assert load(_write(folder, ""), {}).queue.lifetime == 72 * 3600


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[server]\ndata_dir = "a\\u0000b"\n', "server.data_dir: has a NUL character"),
        ('[storage]\npassword_file = "a\\u0000b"\n', "storage.password_file: is not the name of a file"),
        ('[tracker]\nbase_url = "http://[::1"\n', 'tracker.base_url: "http://[::1" is not an absolute URL'),
        ('[tracker]\naddress = "127.0.0.1:0"\n', 'tracker.base_url: "http://127.0.0.1:0" is not an absolute URL'),
        ('[tracker]\nbase_url = "http://t.test:99999"\n', "is not an absolute URL"),
    ],
)
def test_a_value_that_no_system_call_accepts_is_a_fault(folder: Path, text: str, fault: str) -> None:
    assert any(fault in one for one in _faults(folder, text))


def test_all_faults_are_reported_at_once(folder: Path) -> None:
    text = """\
[server]
hostnam = "mail.example.com"
event_loop = "uvlop"
[queue]
lifetime = "10x"
retry = []
[limits]
max_recipients = "10"
[[provider]]
name = "newsletter"
hst = "smtp.example.com"
[domains."ACME.test"]
provider = "newsleter"
tracking = { open = true }
[identities."Billing@acme.test"]
daily_limit = 300
credentials = ["ap1"]
[credentials.app1]
secret_hash = "hunter2hunter2"
"""
    assert _faults(folder, text) == [
        "relay.toml:2: server.hostnam: unknown key; allowed: hostname, data_dir, allow_open, identities_domain, "
        "event_loop, reuse_port (did you mean hostname?)",
        'relay.toml:3: server.event_loop: "uvlop" is not one of the choices; '
        'allowed: "auto", "uvloop", "asyncio" (did you mean "uvloop"?)',
        'relay.toml:5: queue.lifetime: "10x" is not a duration; '
        'allowed: a number with ms, s, m, h, d or w, such as "90s", "5m", "1.5h" or "72h"',
        "relay.toml:6: queue.retry: is empty; allowed: at least one",
        "relay.toml:8: limits.max_recipients: is a string; allowed: a whole number",
        "relay.toml:11: provider[0].hst: unknown key (did you mean host?)",
        'relay.toml:13: domains."acme.test".provider: there is no [[provider]] "newsleter"; '
        "allowed: direct, newsletter (did you mean newsletter?)",
        'relay.toml:14: domains."ACME.test".tracking.open: unknown key; allowed: opens, clicks, base_url, text_links, '
        "skip_sensitive, skip_visible_urls, skip_unsubscribe, exclude_hosts, pixel (did you mean opens?)",
        'relay.toml:16: identities."billing@acme.test".daily_limit: 300 is over limits.identity_daily_ceiling; '
        "allowed: 1 to 250",
        'relay.toml:17: identities."billing@acme.test".credentials[0]: there is no [credentials.ap1]; '
        "allowed: app1 (did you mean app1?)",
        'relay.toml:19: credentials.app1.secret_hash: is not a hash of a secret: "blake2b:<salt>:<digest>" or '
        '"scrypt:<n>:<r>:<p>:<salt>:<digest>", salt and digest in base64; '
        "allowed: the output of `relay credential new NAME`",
    ]


def test_faults_of_the_spam_filter_and_of_bounces(folder: Path) -> None:
    text = """\
[spam]
rspamd = "127.0.0.1:11333"
spamd = "127.0.0.1:0"
fail = "close"
score = "7"
[bounces]
address = "zoë@acme.test"
expire = { mailbox_ful = "14d", mailbox_disabled = "0d" }
"""
    assert _faults(folder, text) == [
        'relay.toml:2: spam.rspamd: "127.0.0.1:11333" is not an absolute URL; '
        'allowed: "https://host" or "http://host:port"',
        "relay.toml:3: spam.spamd: port 0 is no port of a server; allowed: 1 to 65535",
        'relay.toml:4: spam.fail: "close" is not one of the choices; allowed: "open", "closed" '
        '(did you mean "closed"?)',
        "relay.toml:5: spam.score: is a string; allowed: a whole number",
        'relay.toml:7: bounces.address: "zoë@acme.test" is not ASCII, so many servers refuse mail from it; '
        "allowed: an ASCII address",
        "relay.toml:8: bounces.expire.mailbox_disabled: is zero; allowed: more than zero",
        'relay.toml:8: bounces.expire.mailbox_ful: "mailbox_ful" is not one of the choices; allowed: "bad_mailbox", '
        '"bad_domain", "mailbox_disabled", "mailbox_full", "recipient_refused", "relay_denied", "unknown", '
        '"server_error", "expired" (did you mean "mailbox_full"?)',
    ]


def test_load_raises_what_check_returns(folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"relay\.toml:2: smtp\.port: unknown key.*\(did you mean delivery\.port\?\)"
    ) as e:
        load(_write(folder, "[smtp]\nport = 25\n"), {})
    assert [(fault.line, fault.key) for fault in e.value.faults] == [(2, "smtp.port")]


def test_a_wrong_secret_is_never_printed(folder: Path) -> None:
    text = '[[provider]]\nname = "p"\nhost = "h"\npassword = 123456\n[tracker]\nkeys = ["hunter2", 987654]\n'
    messages = "\n".join(_faults(folder, text))
    assert "provider[0].password: is a number" in messages
    assert "tracker.keys" in messages
    assert not any(secret in messages for secret in ("123456", "hunter2", "987654"))


def test_a_file_that_is_not_toml(folder: Path) -> None:
    (fault,) = _faults(folder, "[server]\nhostname = \n")
    assert fault.startswith("relay.toml:2: not TOML at column 12: the value is missing or of no known form; allowed: ")
    (fault,) = _faults(folder, "[server]\nhostname = 'x")
    assert fault == "relay.toml:2: not TOML: a string is not closed; allowed: the same quotes at its end"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            '[[provider]]\nnmae = "p"\nhost = "h"\n[defaults]\nprovider = "p"\n',
            ["relay.toml:2: provider[0].nmae: unknown key"],
        ),
        (
            '[[provider]]\nname = "a b"\nhost = "h"\n[defaults]\nprovider = "p"\n',
            ['relay.toml:2: provider[0].name: "a b" is not a name'],
        ),
        (
            '[[provider]]\nhost = "h"\n[credentials."a b"]\nsecret_hash = 1\n[identities."x@a.test"]\n'
            'credentials = ["a"]\n',
            [
                "relay.toml:1: provider[0].name: is missing",
                'relay.toml:3: credentials."a b": "a b" is not a name',
                'relay.toml:4: credentials."a b".secret_hash: is a number',
            ],
        ),
        (
            '[[listener]]\nname = "a"\naddress = "x"\n[[listener]]\nname = "submission"\naddress = "127.0.0.1:2525"\n',
            ['relay.toml:3: listener[0].address: "x" has no port'],
        ),
        (
            '[[listener]]\naddress = "127.0.0.1:1"\n[[listener]]\nname = "submission"\naddress = "127.0.0.1:2"\n',
            ["relay.toml:1: listener[0].name: is missing"],
        ),
        ("[tracker]\naddress = 1\n", ["relay.toml:2: tracker.address: is a number"]),
        ('[identities]\nx = "y"\n', ['relay.toml:2: identities.x: "x" is not a mail address']),
        ('[[provider]]\nname = "a"\nhost = "h"\n' * 2, ['relay.toml:5: provider[1].name: "a" is the name of']),
        ('[qeue]\nlifetime = "1h"\n', ["relay.toml:1: qeue: unknown key"]),
    ],
)
def test_one_fault_is_reported_once(folder: Path, text: str, faults: list[str]) -> None:
    found = _faults(folder, text)
    assert [one[: len(fault)] for one, fault in zip(found, faults, strict=True)] == faults


def test_each_unreadable_file_is_reported_and_the_others_are_checked(folder: Path) -> None:
    _write(folder, "[smtp]\nmax_eror = 1\n", "conf.d/1.toml")
    _write(folder, "x = [\n\n", "conf.d/2.toml")
    (folder / "conf.d" / "3.toml").write_bytes(b"[server]\nhostname = '\xff'\n")
    messages = _faults(folder, '[defaults]\nprovider = "from-2"\n')
    assert [fault.split(":")[:2] for fault in messages] == [
        ["conf.d/1.toml", "2"],
        ["conf.d/2.toml", "1"],
        ["conf.d/3.toml", "2"],
    ]


def test_a_missing_file_is_a_fault(folder: Path) -> None:
    _, faults, _ = check(folder / "none.toml", {})
    assert [str(fault) for fault in faults] == [f"{folder}/none.toml: cannot be read: No such file or directory"]


def test_conf_d_merges_in_name_order(folder: Path) -> None:
    _write(folder, '[queue]\nlifetime = "2h"\n[[provider]]\nname = "b"\nhost = "b.test"\n', "conf.d/20-b.toml")
    _write(
        folder,
        '[queue]\nlifetime = "1h"\nretry = ["5m"]\n[domains."a.test".tracking]\nopens = false\n',
        "conf.d/10-a.toml",
    )
    _write(folder, "not read", "conf.d/30.toml.bak")
    text = (
        '[queue]\nretry = ["1m", "2m"]\n[[provider]]\nname = "a"\nhost = "a.test"\n[domains."a.test"]\nprovider = "b"\n'
    )
    settings = load(_write(folder, text), {})
    assert settings.queue.lifetime == 7200
    assert list(settings.queue.retry) == [300]
    assert [provider.name for provider in settings.providers] == ["a", "b"]
    assert settings.domains["a.test"].provider == "b"
    assert not settings.domains["a.test"].tracking.opens


def test_faults_of_merged_tables_keep_their_own_file(folder: Path) -> None:
    _write(folder, '\n[[provider]]\nname = "b"\nhost = "b b"\n[limits]\nidentity_daily = 900\n', "conf.d/1.toml")
    messages = _faults(folder, '[[provider]]\nname = "a"\nhost = "a.test"\nport = 0\n[limits]\nidentity_hourly = 5\n')
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
    settings = load(_write(folder, text), environ)
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
    messages = _faults(folder, "", environ)
    assert messages[0].startswith("environment: listener[7].name: RELAY__LISTENER__7__NAME names no setting")
    assert messages[1].startswith("environment: queue.lifetime: -1 is not a duration")
    assert messages[2].endswith("(did you mean hostname?)")


def test_a_variable_that_is_not_utf_8_is_a_fault(folder: Path) -> None:
    environ = {"RELAY__SERVER__HOSTNAME": "a\udcff", "RELAY__SERVER__\udcff": "x"}
    assert _faults(folder, "", environ) == [
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
    _write(folder, " pass word \n", "p.secret")
    _write(folder, _HASH + "\n", "app.hash")
    _write(folder, f"{key}\nk2:{key[3:]}\n", "keys")
    _write(folder, "sqlite:///other.db\n", "url")
    settings, faults, warnings = check(_write(folder, text), {})
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
    _write(folder, "beside", "a")
    _write(folder, "beside", "b")
    text = "".join(
        f'[[provider]]\nname = "{name}"\nhost = "h"\nusername = "u"\npassword_file = "{name}"\n' for name in ("a", "b")
    )
    settings, _, warnings = check(_write(folder, text), {"CREDENTIALS_DIRECTORY": str(systemd_folder)})
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
    messages = _faults(folder, text)
    assert messages[0] == "relay.toml:5: provider[0].password_file: none cannot be read: No such file or directory"
    assert "relay.toml:8: credentials.a.secret_hash_file: secret_hash is set too" in messages[2]
    assert len(messages) == 3


def test_a_secret_that_others_can_read_is_a_warning(folder: Path) -> None:
    _write(folder, "pw", "s").chmod(0o640)
    text = '[[provider]]\nname = "p"\nhost = "h"\nusername = "u"\npassword_file = "s"\n'
    assert _warnings(folder, text) == [
        "relay.toml:5: provider[0].password_file: the group can read the secret: s has mode 0640; allowed: 0600"
    ]
    file = _write(folder, f'[credentials.a]\nsecret_hash = "{_HASH}"\n')
    file.chmod(0o644)
    _, _, warnings = check(file, {})
    assert [(warning.line, warning.key) for warning in warnings] == [(2, "credentials.a.secret_hash")]


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    text = '[server]\ndata_dir = "data"\n'
    assert load(_write(folder, text), {}).server.data_dir == folder / "data"


def test_a_domain_without_a_dkim_key_is_a_warning(folder: Path) -> None:
    text = '[server]\ndata_dir = "."\n[domains."A.test"]\ndkim = { selectors = ["s1", "s2"] }\n'
    (messages,) = _warnings(folder, text)
    assert messages.startswith('relay.toml:4: domains."a.test".dkim.selectors[0]: there is no key in')
    (folder / "dkim" / "a.test").mkdir(parents=True)
    (folder / "dkim" / "a.test" / "s2.pem").touch()
    assert _warnings(folder, text) == []


def test_the_configuration_of_the_black_box_tests_loads(folder: Path) -> None:
    script = shared("security/env_relay.sh").read_text()
    text = script.partition("<<T\n")[2].partition("\nT\n")[0]
    for port in range(5):
        text = text.replace(f"$((P+{port}))", str(25640 + port))
    text = text.replace("$P", "25640").replace("$BB_WORK", str(folder))
    settings = load(_write(folder, text), {})
    assert settings.providers_for("a@b.test") == ("sink",)
    assert settings.limits.identity_daily_ceiling == 0
    assert settings.listeners[1].allow_networks == ()
