"""`relay explain`: each field, what it means, what is followed, ignored, removed, and what would be refused."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from relay.cli.explain import explain

MAIL = (
    b"From: a@acme.test\r\nTo: Ada <ada@reader.test>\r\nSubject: x\r\nX-Relay-Tag: vip\r\n"
    b'X-SMTPAPI: {"to": ["ada@reader.test"], "send_at": 1893456000, "ip_pool": "p", "category": "a"}\r\n'
    b'X-Metadata: {"invoice": 1042}\r\nX-MC-BccAddress: c@acme.test\r\n\r\nhello\r\n'
)


def run(tmp_path: Path, content: bytes, *options: str) -> Result:
    file = tmp_path / "mail.eml"
    file.write_bytes(content)
    return CliRunner().invoke(explain, [str(file), *options])


def test_each_statement_is_shown_with_its_place(tmp_path: Path) -> None:
    result = run(tmp_path, MAIL)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "DIALECT FIELD KEY MEANS",
        "relay x-relay-tag tag vip",
        "generic X-Metadata metadata invoice = 1042",
        "sendgrid X-SMTPAPI category tag a",
        "sendgrid X-SMTPAPI send_at send_at = 2030-01-01T00:00:00Z",
        "sendgrid X-SMTPAPI ip_pool ignored: unknown pool",
        "mandrill X-MC-BccAddress copy to c@acme.test",
        "understood: send_at: 2030-01-01T00:00:00Z",
        "understood: tags: vip, a",
        "understood: metadata: invoice=1042",
        "understood: copies: c@acme.test",
        "ignored: X-SMTPAPI ip_pool: unknown pool",
        "removed: X-SMTPAPI",
        "removed: X-Metadata",
        "removed: X-MC-BccAddress",
    ]


def test_json_has_the_same(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, MAIL, "--json").stdout)
    assert found["understood"]["metadata"] == {"invoice": "1042"}
    assert found["removed"] == ["X-SMTPAPI", "X-Metadata", "X-MC-BccAddress"]
    assert found["statements"][0] == {"dialect": "relay", "field": "x-relay-tag", "key": "", "means": "tag vip"}


def test_a_mail_that_would_be_refused_says_why(tmp_path: Path) -> None:
    result = run(tmp_path, MAIL, "--recipient", "bob@reader.test")
    assert result.exit_code == 65
    assert result.stderr == (
        'relay: this mail would be refused: X-SMTPAPI: "to" names other recipients than RCPT TO; name each in RCPT TO\n'
    )


def test_the_settings_of_a_credential_apply(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    hashed = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    config.write_text(
        f'[server]\nhostname = "relay.test"\n[credentials.app]\nsecret_hash = "{hashed}"\nheaders = ["mandrill"]\n'
    )
    found = json.loads(run(tmp_path, MAIL, "--json", "--config", str(config), "--credential", "app").stdout)
    assert found["removed"] == ["X-MC-BccAddress"]
    unknown = run(tmp_path, MAIL, "--config", str(config), "--credential", "other")
    assert (unknown.exit_code, "no credential 'other'" in unknown.stderr) == (64, True)


def test_a_mail_without_such_fields_says_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, b"From: a@acme.test\r\n\r\nhello\r\n").stdout == "nothing\n"
