"""Loading: files, conf.d, environment, secrets in files, and every fault with its line."""

from pathlib import Path

import pytest

from relay.config import ConfigError, check, load
from tests.shared import shared
from tests.unit.config_folder import faults_of, folder, warnings_of, write

__all__ = ["folder"]


def test_an_empty_file_is_a_configuration(folder: Path) -> None:
    assert load(write(folder, ""), {}).queue.lifetime == 72 * 3600


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
    assert any(fault in one for one in faults_of(folder, text))


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
    assert faults_of(folder, text) == [
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
    assert faults_of(folder, text) == [
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
        load(write(folder, "[smtp]\nport = 25\n"), {})
    assert [(fault.line, fault.key) for fault in e.value.faults] == [(2, "smtp.port")]


def test_a_wrong_secret_is_never_printed(folder: Path) -> None:
    text = '[[provider]]\nname = "p"\nhost = "h"\npassword = 123456\n[tracker]\nkeys = ["hunter2", 987654]\n'
    messages = "\n".join(faults_of(folder, text))
    assert "provider[0].password: is a number" in messages
    assert "tracker.keys" in messages
    assert not any(secret in messages for secret in ("123456", "hunter2", "987654"))


def test_a_file_that_is_not_toml(folder: Path) -> None:
    (fault,) = faults_of(folder, "[server]\nhostname = \n")
    assert fault.startswith("relay.toml:2: not TOML at column 12: the value is missing or of no known form; allowed: ")
    (fault,) = faults_of(folder, "[server]\nhostname = 'x")
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
    found = faults_of(folder, text)
    assert [one[: len(fault)] for one, fault in zip(found, faults, strict=True)] == faults


def test_each_unreadable_file_is_reported_and_the_others_are_checked(folder: Path) -> None:
    write(folder, "[smtp]\nmax_eror = 1\n", "conf.d/1.toml")
    write(folder, "x = [\n\n", "conf.d/2.toml")
    (folder / "conf.d" / "3.toml").write_bytes(b"[server]\nhostname = '\xff'\n")
    messages = faults_of(folder, '[defaults]\nprovider = "from-2"\n')
    assert [fault.split(":")[:2] for fault in messages] == [
        ["conf.d/1.toml", "2"],
        ["conf.d/2.toml", "1"],
        ["conf.d/3.toml", "2"],
    ]


def test_a_missing_file_is_a_fault(folder: Path) -> None:
    _, faults, _ = check(folder / "none.toml", {})
    assert [str(fault) for fault in faults] == [f"{folder}/none.toml: cannot be read: No such file or directory"]


def test_a_domain_without_a_dkim_key_is_a_warning(folder: Path) -> None:
    text = '[server]\ndata_dir = "."\n[domains."A.test"]\ndkim = { selectors = ["s1", "s2"] }\n'
    (messages,) = warnings_of(folder, text)
    assert messages.startswith('relay.toml:4: domains."a.test".dkim.selectors[0]: there is no key in')
    (folder / "dkim" / "a.test").mkdir(parents=True)
    (folder / "dkim" / "a.test" / "s2.pem").touch()
    assert warnings_of(folder, text) == []


def test_the_configuration_of_the_black_box_tests_loads(folder: Path) -> None:
    script = shared("security/env_relay.sh").read_text()
    text = script.partition("<<T\n")[2].partition("\nT\n")[0]
    for port in range(5):
        text = text.replace(f"$((P+{port}))", str(25640 + port))
    text = text.replace("$P", "25640").replace("$BB_WORK", str(folder))
    settings = load(write(folder, text), {})
    assert settings.providers_for("a@b.test") == ("sink",)
    assert settings.limits.identity_daily_ceiling == 0
    assert settings.listeners[1].allow_networks == ()
