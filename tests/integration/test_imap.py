"""The bounce mailbox on Debian's Dovecot: read over TLS, each mail taken once, other people's mail left alone."""

import asyncio
import json
import smtplib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.cli.imap import imap
from relay.dsn.compose import Action, OriginalMessage, RecipientStatus, compose
from relay.mail.reply import Reply
from tests.servers.dovecot import PASSWORD, USER, Dovecot, need_dovecot
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.terminal import Terminal
from tests.servers.waiting import PATIENCE

MAIL = b"From: Acme <news@acme.test>\r\nTo: u@rcpt.test\r\nSubject: invoice\r\n\r\nhello\r\n"

BOUNCED = b"Your message could not be delivered"


@pytest.fixture
async def dovecot(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Dovecot]:
    """Return a server whose certificate the system trusts."""
    need_dovecot()
    async with Dovecot() as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        yield server


class Relay(RelayProcess):
    """A relay that reads the mailbox of a Dovecot every second."""

    def __init__(
        self,
        folder: Path,
        sink_port: int,
        port: int,
        more: str = "",
        password: str = PASSWORD,
        paths: str = '[domains."acme.test"]\nreturn_path = "bounces.acme.test"',
    ) -> None:
        account = f'host = "localhost"\nport = {port}\nusername = "{USER}"\npassword = "{password}"\ninterval = "1s"\n'
        super().__init__(folder, sink_port, f"{paths}\n[bounces.imap]\n{account}{more}")

    def send(self) -> str:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail("news@acme.test")
            client.rcpt("u@rcpt.test")
            code, text = client.data(MAIL)
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]

    async def bounce(self, sink: Sink) -> tuple[str, bytes]:
        """Send a mail, and return its queue id and the bounce another server would make of it."""
        queue_id = await asyncio.to_thread(self.send)
        got = (await sink.received(1))[0]
        original = OriginalMessage(queue_id, got.reverse_path, 1e9, got.content)
        fate = RecipientStatus("u@rcpt.test", Reply(550, "5.1.1", "<u@rcpt.test>: user unknown"), remote="mx.rcpt.test")
        return queue_id, compose(Action.FAILED, original, [fate], hostname="mx.rcpt.test", report_id="r1", now=1e9)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.05)

    async def taken(self, count: int) -> list[dict[str, Any]]:
        """Return the mails taken since the log began, once there are so many."""
        await self.until(lambda: len(self.log("imap.taken")) >= count)
        return self.log("imap.taken")

    async def bounces_of(self, queue_id: str) -> list[dict[str, Any]]:
        (story,) = await self.json("trace", queue_id)
        return [event for event in story["events"] if event["event"] == "bounced"]


async def folders(relay: RelayProcess, *options: str) -> Result:
    """Run the command `folders` with the relay's configuration."""
    return await asyncio.to_thread(CliRunner().invoke, imap, ["folders", "-c", str(relay.config), *options])


def ordinary(subject: str) -> bytes:
    return f"From: ada@reader.test\r\nTo: {USER}\r\nSubject: {subject}\r\n\r\nGood morning.\r\n".encode()


async def test_a_bounce_is_recorded_and_moved_and_other_mail_stays_unread(tmp_path: Path, dovecot: Dovecot) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port, dovecot.port) as relay:
        dovecot.put(ordinary("lunch"))
        queue_id, bounce = await relay.bounce(sink)
        dovecot.put(bounce)
        taken = await relay.taken(2)
        assert [(one["kind"], one["handled"], one["events"]) for one in taken] == [
            ("other", "leave", 0),
            ("bounce", "move", 1),
        ]
        (bounced,) = await relay.bounces_of(queue_id)
        assert (bounced["late"], bounced["status"], bounced["category"]) == (True, "5.1.1", "bad_mailbox")
        assert dovecot.flags("INBOX") == {b"lunch": set()}
        assert dovecot.flags("Handled") == {BOUNCED: set()}
        assert len(relay.log("imap.connected")) == 1
        assert not relay.log("imap.failed")


@pytest.mark.parametrize(("capability", "left"), [("IMAP4rev1 UIDPLUS", {}), ("IMAP4rev1", {BOUNCED: {rb"\Deleted"}})])
async def test_servers_without_move_copy_and_delete_only_what_was_handled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capability: str, left: dict[bytes, set[bytes]]
) -> None:
    need_dovecot()
    async with (
        Dovecot(capability) as dovecot,
        Sink() as sink,
        Relay(tmp_path, sink.port, dovecot.port, 'handled_folder = "Done"') as relay,
    ):
        # Trusted only from here on: the first rounds fail, and nothing is lost by it.
        await relay.until(lambda: bool(relay.log("imap.failed")))
        assert "certificate verify failed" in relay.log("imap.failed")[0]["error"]
        await relay.stop()
        monkeypatch.setenv("SSL_CERT_FILE", str(dovecot.authority))
        await relay.start()
        with dovecot.mailbox() as client:
            client.append("INBOX", ordinary("thrown away"), [rb"\Deleted"])
        _, bounce = await relay.bounce(sink)
        dovecot.put(bounce)
        assert [one["handled"] for one in await relay.taken(1)] == ["move"]
        assert dovecot.flags("INBOX") == {b"thrown away": {rb"\Deleted"}, **left}
        assert dovecot.flags("Done").keys() == {BOUNCED}


async def test_each_mail_to_a_plain_address_is_processed_once_over_a_restart(tmp_path: Path, dovecot: Dovecot) -> None:
    paths = f'[bounces]\naddress = "{USER}"'
    async with Sink() as sink, Relay(tmp_path, sink.port, dovecot.port, 'handled = "leave"', paths=paths) as relay:
        queue_id, bounce = await relay.bounce(sink)
        assert sink.messages[0].reverse_path == USER
        dovecot.put(bounce)
        await relay.taken(1)
        (listed,) = await relay.json("suppression", "list")
        assert (listed["address"], listed["domain"], listed["provenance"]) == ("u@rcpt.test", "acme.test", "mailbox")
        assert await relay.stop() == 0
        await relay.start()
        dovecot.put(ordinary("after"))
        assert [one["kind"] for one in await relay.taken(2)] == ["bounce", "other"]
        assert len(await relay.bounces_of(queue_id)) == 1
        assert dovecot.flags("INBOX") == {BOUNCED: set(), b"after": set()}


async def test_a_crash_before_the_mail_was_marked_repeats_it_and_records_it_once(
    tmp_path: Path, dovecot: Dovecot
) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port, dovecot.port, 'handled = "flag"') as relay:
        dovecot.put(ordinary("lunch"))
        queue_id, bounce = await relay.bounce(sink)
        dovecot.put(bounce)
        await relay.taken(2)
        await relay.kill()
        with dovecot.mailbox() as client:
            client.select_folder("INBOX")
            client.remove_flags(client.search("ALL"), [rb"\Seen"])
        file = tmp_path / "data" / "imap.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "uid": 1}))
        await relay.start()
        assert [(one["kind"], one["events"]) for one in (await relay.taken(3))[2:]] == [("bounce", 0)]
        assert len(await relay.bounces_of(queue_id)) == 1
        assert dovecot.flags("INBOX") == {b"lunch": set(), BOUNCED: {rb"\Seen"}}


async def test_a_renumbered_folder_is_read_again_without_duplicates(tmp_path: Path, dovecot: Dovecot) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port, dovecot.port, 'handled = "leave"') as relay:
        queue_id, bounce = await relay.bounce(sink)
        dovecot.put(bounce)
        await relay.taken(1)
        await relay.stop()
        await dovecot.renumber(4711)
        await relay.start()
        assert [one["events"] for one in await relay.taken(2)] == [1, 0]
        assert [one["now"] for one in relay.log("imap.renumbered")] == [4711]
        assert len(await relay.bounces_of(queue_id)) == 1


async def test_starttls_and_the_folders_to_choose_from_without_a_running_relay(
    tmp_path: Path, dovecot: Dovecot
) -> None:
    with dovecot.mailbox() as client:
        client.create_folder("Rückläufer")
    dovecot.put(ordinary("one"), "Rückläufer")
    relay = Relay(tmp_path, 1, dovecot.plain_port, 'tls = "starttls"\nfolder = "Rückläufer"')
    listed = await folders(relay, "--json")
    assert [json.loads(line) for line in listed.stdout.splitlines()] == [
        {"folder": "INBOX", "messages": 0, "use": ""},
        {"folder": "Rückläufer", "messages": 1, "use": "polled"},
    ]
    assert "Rückläufer  1         polled" in (await folders(relay)).stdout
    assert dovecot.flags("Rückläufer") == {b"one": set()}


async def test_the_folders_before_the_mailbox_is_configured(tmp_path: Path, dovecot: Dovecot) -> None:
    unconfigured = RelayProcess(tmp_path, 1)
    tmp_path.mkdir(exist_ok=True)
    account = ("--host", "localhost", "--port", str(dovecot.port), "--username", USER)
    listed = await asyncio.to_thread(CliRunner().invoke, imap, ["folders", *account, "--json"], f"{PASSWORD}\n")
    assert (listed.exit_code, listed.stdout) == (0, '{"folder": "INBOX", "messages": 0, "use": ""}\n')
    async with Terminal(unconfigured, "imap", "folders", *account) as terminal:
        await terminal.until(f"Password of {USER} on localhost: ")
        terminal.type(PASSWORD)
        assert "INBOX   0" in await terminal.until("INBOX")
        assert await terminal.process.wait() == 0
    assert PASSWORD not in terminal.said

    wrong = await asyncio.to_thread(CliRunner().invoke, imap, ["folders", *account], "guessed-wrong\n")
    assert (wrong.exit_code, "login of bounces@acme.test was refused" in wrong.stderr) == (69, True)
    for options, text in (
        (["--host", "localhost"], "--host and --username belong together"),
        (["--host", "imap.acme.test", "--username", "u", "--tls", "none"], "the password would be sent in clear text"),
        (["--host", "a b", "--username", "u"], '--host "a b" is not a host name'),
    ):
        usage = CliRunner().invoke(imap, ["folders", *options])
        assert (usage.exit_code, text in usage.stderr) == (64, True), usage.stderr


async def test_errors_of_the_folders_command(tmp_path: Path, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = await folders(Relay(tmp_path, 1, dovecot.port, password="guessed-wrong"))
    assert refused.exit_code == 69
    assert f"relay: localhost:{dovecot.port}: login of {USER} was refused: [AUTHENTICATIONFAILED]" in refused.stderr
    assert "guessed-wrong" not in refused.output
    absent = await folders(Relay(tmp_path, 1, dovecot.port, 'folder = "Inbocks"'))
    assert 'there is no folder "Inbocks" (bounces.imap.folder)' in absent.stderr
    unset = await folders(RelayProcess(tmp_path, 1))
    assert (unset.exit_code, "has no [bounces.imap]" in unset.stderr) == (78, True)
    monkeypatch.delenv("SSL_CERT_FILE")
    untrusted = await folders(Relay(tmp_path, 1, dovecot.port))
    assert (untrusted.exit_code, "certificate verify failed" in untrusted.stderr) == (69, True)


async def test_a_mailbox_that_does_not_answer_is_logged_and_delays_nothing(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port, 1) as relay:
        await relay.until(lambda: len(relay.log("imap.failed")) >= 2)
        assert "localhost:1: connect failed" in relay.log("imap.failed")[0]["error"]
        await asyncio.to_thread(relay.send)
        await sink.received(1)
        assert await relay.stop() == 0
