"""What identities and messages look like at a terminal: nothing that strangers wrote steers it."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.client import AdminClient
from relay.cli.identity import identity
from relay.cli.queue import queue
from relay.config.secret_hash import hash_secret

HASH = hash_secret("hush", b"saltsaltsaltsalt")

EVIL = "\x1b]0;owned\x07\x1b[2J\u202eevil"

STEP = {"step": "dns", "state": "failed", "at": "2026-01-01T00:00:00Z", "detail": EVIL}

SHOWN = {
    "address": "a@x.test", "listed": True, "display_name": "", "company": "", "forward_to": [], "provider": "",
    "used_hour": None, "used_day": None, "hourly_limit": 0, "daily_limit": 0, "waiting": 0, "next_release_at": None,
    "paused_since": None, "paused_because": "", "verified": False, "verified_by": "", "cc_address": "", "steps": [STEP],
}  # fmt: skip

RESULT = {
    "step": "dns", "state": "failed", "at": "2026-01-01T00:00:00Z", "verdict": "",
    "remarks": [{"status": "wrong", "text": EVIL, "fix": EVIL}],
}  # fmt: skip

STORY = {
    "queue_id": "X", "subject": "s", "reverse_path": "", "message_id": "", "identity": "", "domain": "", "provider": "",
    "campaign": "", "tags": [], "metadata": {}, "recipients": [], "events": [],
    "header": f"From: a@x.test\r\nSubject: {EVIL}\r\n\tfolded",
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    def answer(_: AdminClient, path: str, *__: Any, **___: Any) -> Any:
        return STORY if path.startswith("/queue/") else RESULT if path.endswith("/dns") else SHOWN

    monkeypatch.setattr(AdminClient, "get", answer)
    monkeypatch.setattr(AdminClient, "post", answer)
    file = tmp_path / "relay.toml"
    file.write_text('[server]\nhostname = "relay.test"\n', encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("words", [("show", "a@x.test"), ("verify", "a@x.test", "--dns")])
def test_remarks_on_an_identity_have_no_control_characters(config: str, words: tuple[str, ...]) -> None:
    output = CliRunner().invoke(identity, [*words, "-c", config], color=False).output
    assert "evil" in output
    assert all(char.isprintable() or char == "\n" for char in output)


def test_the_shown_header_has_no_control_characters_and_stays_folded(config: str) -> None:
    output = CliRunner().invoke(queue, ["show", "X", "-c", config]).output
    assert "From: a@x.test\nSubject: " in output
    assert "\n\tfolded" in output
    assert all(char.isprintable() or char in "\n\t" for char in output)


def test_a_removal_warns_of_credentials_that_nothing_bounds_any_more(config: str, tmp_path: Path) -> None:
    tables = "".join(f'[credentials.{name}]\nsecret_hash = "{HASH}"\n' for name in ("news", "shop"))
    (tmp_path / "relay.toml").write_text(f'[server]\nhostname = "relay.test"\n{tables}')
    for address in ("a@x.test", "b@x.test"):
        names = ["--credential", "shop", *(["--credential", "news"] if address == "a@x.test" else [])]
        assert CliRunner().invoke(identity, ["add", address, *names, "-c", config]).exit_code == 0
    removed = CliRunner().invoke(identity, ["remove", "a@x.test", "-c", config])
    assert (removed.exit_code, "no other identity names the credential news:" in removed.output) == (0, True)
    assert "the credential shop" not in removed.output
