"""Mailboxes that take no mark, on Debian's Dovecot: every mail is processed all the same."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from relay.config.settings import Imap, Settings
from relay.inbound.imap_mailbox import Mailbox
from relay.inbound.imap_poller import Poller
from relay.inbound.imap_state import read_position
from relay.inbound.mail_effects import ProcessResult
from relay.metrics import Metrics
from tests.servers.dovecot import PASSWORD, USER, Dovecot, need_dovecot
from tests.unit.oauth_parts import NoTokens

PLUGINS = """
mail_plugins = $mail_plugins acl quota
protocol imap {
  mail_plugins = $mail_plugins imap_acl imap_quota
}
namespace inbox {
  inbox = yes
  prefix = INBOX.
  separator = .
}
plugin {
  acl = vfile:{mail}/acl-global:cache_secs=0
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:messages=3
}
"""

WITHOUT_MOVE = "IMAP4rev1 UIDPLUS NAMESPACE ACL QUOTA"


async def test_bounces_count_whatever_becomes_of_the_mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_dovecot()
    async with Dovecot(WITHOUT_MOVE, PLUGINS) as dovecot:
        monkeypatch.setenv("SSL_CERT_FILE", str(dovecot.authority))
        imap = Imap(host="localhost", port=dovecot.port, username=USER, password=SecretStr(PASSWORD))
        taken: list[bytes] = []
        lines: list[str] = []

        async def take(content: bytes) -> ProcessResult:
            taken.append(content.partition(b"\r\n")[0].removeprefix(b"Subject: "))
            return ProcessResult("bounce", joined=True)

        def log(event: str, /, **fields: object) -> None:
            if event != "imap.taken":
                lines.append(f"{event}: {fields.get('error', fields['folder'])}")

        def unmarked() -> tuple[int, ...]:
            position = read_position(tmp_path / "imap.json")
            return position.unmarked if position else ()

        def put(*subjects: str) -> None:
            for subject in subjects:
                dovecot.put(f"Subject: {subject}\r\n\r\nx\r\n".encode())

        poller = Poller(Settings, tmp_path / "imap.json", take, log, NoTokens(), Metrics())

        # The folder of handled mail is made behind the prefix of the account.
        put("one")
        await poller.read(imap)
        assert dovecot.flags("INBOX.Handled").keys() == {b"one"}
        assert (taken, lines) == ([b"one"], ["imap.connected: INBOX"])

        # The quota refuses the copies.
        put("two", "three")
        for _ in range(2):
            await poller.read(imap)
        assert taken == [b"one", b"two", b"three"]
        assert len(lines) == 2
        assert "imap.unmarked: " in lines[1]
        assert "OVERQUOTA" in lines[1]
        assert unmarked() == (2, 3)

        # With space again, the marks are made.
        with dovecot.mailbox() as client:
            client.select_folder("INBOX.Handled")
            client.delete_messages(client.search("ALL"))
            client.expunge()
        await poller.read(imap)
        assert unmarked() == ()
        assert dovecot.flags("INBOX") == {}
        assert dovecot.flags("INBOX.Handled").keys() == {b"two", b"three"}

        # Only reading is allowed.
        with dovecot.mailbox() as client:
            client.select_folder("INBOX.Handled")
            client.delete_messages(client.search("ALL"))
            client.expunge()
        put("four")
        dovecot.rights("* owner lr")
        await poller.read(imap)
        assert taken[-1] == b"four"
        assert lines[-1] == "imap.unmarked: the server allows no changes in the folder"
        assert unmarked() == (4,)
        assert dovecot.flags("INBOX").keys() == {b"four"}

        # A polled folder is found behind the prefix too.
        mailbox = Mailbox(imap.model_copy(update={"folder": "Handled"}))
        mailbox.open()
        assert (mailbox.select().messages, mailbox.read_only) == (0, True)
        mailbox.close()
