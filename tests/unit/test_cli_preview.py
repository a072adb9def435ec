"""`relay preview`: the bytes that would leave, and the decision about each link."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

from relay.cli.preview import preview
from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import generate_key

TEXTS = ["a", "b"]

MAIL = (
    b"From: a@acme.test\r\nSubject: x\r\nX-Relay-Tag: t\r\nContent-Type: text/html\r\n\r\n"
    b'<p><a href="https://acme.test/a">a</a> <a href="mailto:a@acme.test">b</a></p>\r\n'
)


def run(tmp_path: Path, content: bytes, *options: str) -> tuple[bytes, str]:
    file = tmp_path / "mail.eml"
    file.write_bytes(content)
    result = CliRunner().invoke(preview, [str(file), *options])
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes, result.stderr


def test_the_rendered_bytes_are_printed(tmp_path: Path) -> None:
    out, _ = run(tmp_path, MAIL)
    assert out.startswith(
        b'From: a@acme.test\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<p><a href="http://127.0.0.1'
    )
    assert out.count(b"/c/") == out.count(b"/o/") == 1


def test_each_link_with_its_reason(tmp_path: Path) -> None:
    out, _ = run(tmp_path, MAIL, "--links", "--json")
    assert [(row["target"], row["tracked"]) for row in map(json.loads, out.splitlines())] == [
        ("https://acme.test/a", "yes"),
        ("mailto:a@acme.test", "no"),
    ]
    assert [row["text"] for row in map(json.loads, out.splitlines())] == TEXTS
    table, _ = run(tmp_path, MAIL, "--links")
    assert b"not an http or https URL" in table
    assert b"open pixel: yes" in table


def test_a_recipient_adds_the_fields_of_a_transmission(tmp_path: Path) -> None:
    out, _ = run(tmp_path, MAIL, "--recipient", "u@rcpt.test")
    assert out.startswith(b"Received: from localhost")
    assert b"for <u@rcpt.test>" in out


def test_campaign_mail_has_list_unsubscribe(tmp_path: Path) -> None:
    out, _ = run(tmp_path, MAIL.replace(b"X-Relay-Tag: t", b"X-Relay-Campaign: spring"))
    assert out.startswith(b"List-Unsubscribe: <http://127.0.0.1:8025/u/")


def test_reply_to_follows_the_identity(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    identity = '[identities."a@acme.test"]\n'
    server = f'[server]\nhostname = "relay.test"\ndata_dir = "{tmp_path}"\n'
    shared = f'{server}[domains."acme.test"]\nreply_domain = "r.acme.test"\n'
    config.write_text(f"{shared}{identity}reply_tracking = true\n")
    out, _ = run(tmp_path, MAIL, "-c", str(config))
    assert re.search(rb"\r\nReply-To: <\w{42,47}@r\.acme\.test>\r\n", out)
    config.write_text(f'{shared}{identity}reply_to = "desk@acme.test"\n')
    out, _ = run(tmp_path, MAIL, "-c", str(config), "--recipient", "u@rcpt.test")
    assert b"\r\nReply-To: <desk@acme.test>\r\n" in out


def test_lf_becomes_crlf_and_mixed_line_ends_give_a_note(tmp_path: Path) -> None:
    out, _ = run(tmp_path, MAIL.replace(b"\r\n", b"\n"))
    assert b"\n" not in out.replace(b"\r\n", b"")
    mixed, note = run(tmp_path, MAIL + b"bare\n")
    assert mixed.count(b"\n") == mixed.count(b"\r\n") + 1
    assert note.startswith("1 line ends are a bare CR or LF")


def test_an_instruction_that_would_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(MAIL.replace(b"X-Relay-Tag: t", b"X-Relay-Track: maybe"))
    result = CliRunner().invoke(preview, [str(file)])
    assert result.exit_code == 65
    assert "X-Relay-Track" in result.stderr


def test_a_header_that_would_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(b"From a@acme.test Mon\r\n" + MAIL.replace(b"Subject", b"no field\r\nSubject"))
    result = CliRunner().invoke(preview, [str(file)])
    assert result.exit_code == 65
    assert 'would be refused: The header has a line that is no field: "no field"' in result.stderr


def test_dkim_keys_sign_before_there_are_tracker_keys(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(
        f'[server]\nhostname = "relay.test"\ndata_dir = "{tmp_path}"\n'
        '[domains."acme.test"]\ndkim = { selectors = ["s1"] }\n'
    )
    pem = write_key(tmp_path, "acme.test", "s1", generate_key("ed25519-sha256"))
    mail = b"From a@acme.test Mon\r\n" + MAIL
    out, _ = run(tmp_path, mail, "-c", str(config))
    assert out.startswith(b"DKIM-Signature: ")
    assert b"/o/" in out
    assert not (tmp_path / "tracker.key").exists()

    pem.write_bytes(b"no key")
    result = CliRunner().invoke(preview, [str(tmp_path / "mail.eml"), "-c", str(config)])
    assert result.exit_code == 78
    assert f"a key cannot be read: {pem}" in result.stderr
    pem.unlink()
    out, note = run(tmp_path, mail, "-c", str(config))
    assert b"DKIM" not in out
    assert "keys.missing" in note
