"""Renewed certificates of a running relay: used after a reload and by themselves, and reported before they expire."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from click.testing import CliRunner, Result
from cryptography import x509

from relay.app.certificates import INTERVAL, RETRY_INTERVAL, CertificateWatch
from relay.cli import main
from tests.ports import free_port
from tests.servers.relay_app import Running, running
from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import until

LISTENER = """
[[listener]]
name = "secure"
address = "127.0.0.1:{port}"
tls = "implicit"
certificate = "mail.pem"
[alerts]
mail_to = ["operator@acme.test"]
"""


def issue(authority: trustme.CA, file: Path, name: str, days: int = 60) -> None:
    """Write certificate and key; the certificate expires in `days` days."""
    issued = authority.issue_cert(name, "relay.test", not_after=datetime.now(UTC) + timedelta(days=days, hours=1))
    issued.private_key_and_cert_chain_pem.write_to_path(str(file))


async def served(port: int) -> str:
    """Return the first name of the certificate in use."""
    trust_all = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust_all.check_hostname, trust_all.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust_all)
    der = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return str(names.value.get_values_for_type(x509.DNSName)[0])


async def command(relay: RelayProcess, *arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, [*arguments, "-c", str(relay.config)])


class Pauses:
    """Pauses that the test ends: `lengths` has the seconds of each."""

    def __init__(self) -> None:
        self.lengths: list[float] = []
        self._end = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.lengths.append(seconds)
        await self._end.wait()
        self._end.clear()

    async def end(self) -> None:
        """End the pause, and wait for the next one."""
        before = len(self.lengths)
        self._end.set()
        await until(lambda: len(self.lengths) > before)


def watch(relay: Running, pauses: Pauses, now: list[float], alerts: list[tuple[str, str, str]]) -> CertificateWatch:
    """Return a watch over the servers of the relay, with pauses and a clock of the test."""
    context = relay.app.listeners
    return CertificateWatch(
        context.servers,
        relay.app.settings,
        metrics=relay.app.observer.metrics,
        log=relay.app.log,
        clock=lambda: now[0],
        alert=lambda *alert: alerts.append(alert),
        pause=pauses,
    )


async def test_renewed_certificates_are_used_after_a_reload(tmp_path: Path) -> None:
    authority, pem, port = trustme.CA(), tmp_path / "mail.pem", free_port()
    issue(authority, pem, "first.test")
    relay = RelayProcess(tmp_path, 9, LISTENER.format(port=port))
    async with running(relay) as app:
        await until(lambda: bool(app.app.listeners.certificates.states(0)))
        assert await served(port) == "first.test"

        issue(authority, pem, "second.test")
        reloaded = await command(relay, "config", "reload")
        assert reloaded.stdout == "reloaded: nothing changed\nrenewed certificates of: secure\n"
        assert await served(port) == "second.test"
        assert app.lines("config.reloaded")[-1]["certificates"] == ["secure"]

        pem.write_text("no certificate")
        rejected = await command(relay, "config", "reload")
        assert rejected.exit_code == 78
        assert "mail.pem has no certificate in PEM" in rejected.stderr
        assert await served(port) == "second.test"


async def test_renewed_certificates_are_used_by_themselves_and_their_end_is_reported(tmp_path: Path) -> None:
    authority, pem, port = trustme.CA(), tmp_path / "mail.pem", free_port()
    issue(authority, pem, "first.test")
    relay = RelayProcess(tmp_path, 9, LISTENER.format(port=port))
    now = [datetime.now(UTC).timestamp()]
    async with running(relay) as app:
        await until(lambda: bool(app.app.listeners.certificates.states(0)))
        pauses, alerts = Pauses(), list[tuple[str, str, str]]()
        running_watch = asyncio.create_task(watch(app, pauses, now, alerts).run())
        await until(lambda: pauses.lengths == [INTERVAL])

        issue(authority, pem, "second.test", days=10)
        await pauses.end()
        assert await served(port) == "second.test"
        assert app.lines("tls.certificate_renewed")[0]["listener"] == "secure"
        assert [line["text"].partition(":")[0] for line in app.lines("tls.certificate_warning")] == [
            "expires in 10 days"
        ]
        assert b'relay_certificate_expires{listener="secure"}' in app.app.observer.metrics.exposition()

        pem.write_text("half written")
        await pauses.end()
        assert pauses.lengths[-1] == RETRY_INTERVAL
        await pauses.end()
        assert len(app.lines("tls.certificate_failed")) == 1
        assert await served(port) == "second.test"

        issue(authority, pem, "third.test", days=2)
        await pauses.end()
        assert await served(port) == "third.test"
        assert [subject for _, subject, _ in alerts] == ["the certificate of listener secure expires in 2 days"]
        reports = len(app.lines("tls.certificate_warning"))
        await pauses.end()
        assert len(app.lines("tls.certificate_warning")) == reports
        now[0] += 86_400
        await pauses.end()
        assert len(app.lines("tls.certificate_warning")) == reports + 1
        running_watch.cancel()


async def test_status_and_show_say_what_the_file_has_in_addition(tmp_path: Path) -> None:
    issue(trustme.CA(), tmp_path / "mail.pem", "first.test", days=5)
    relay = RelayProcess(tmp_path, 9, LISTENER.format(port=free_port()))
    relay.config.chmod(0o600)
    async with running(relay) as app:
        await until(lambda: bool(app.app.listeners.certificates.states(0)))
        status = await command(relay, "status")
        assert "configuration  as in the file" in status.stdout
        assert "certificates   secure expires in 5 days" in status.stdout
        assert "restart" not in status.stdout
        assert " # " not in (await command(relay, "config", "show")).stdout

        relay.config.write_text(relay.config.read_text() + '[log]\nlevel = "debug"\n[smtp]\nmax_errors = 7\n')
        status = await command(relay, "status")
        assert "configuration changed since it was read: reload (smtp, log)" in status.stdout
        shown = (await command(relay, "config", "show")).stdout
        assert "max_errors = 20  # the file has 7: reload" in shown
        assert 'level = "info"  # the file has "debug": restart' in shown

        good = relay.config.read_text()
        relay.config.write_text(good + "nonsense = 1\n")
        status = await command(relay, "status")
        assert status.exit_code == 0
        assert "smtp.nonsense: unknown key" in status.stderr
        assert "configuration changed since it was read, and has faults" in status.stdout
        relay.config.write_text(good)

        for _ in range(2):
            reloaded = await command(relay, "config", "reload")
            assert reloaded.stdout.endswith("a restart is needed for: log\n")
        status = await command(relay, "status")
        assert "configuration  as in the file" in status.stdout
        assert "restart needed log" in status.stdout
        shown = (await command(relay, "config", "show")).stdout
        assert "max_errors = 7\n" in shown
        assert 'level = "info"  # the file has "debug": restart' in shown
    (tmp_path / "data").chmod(0o700)
    relay.config.write_text(good + "nonsense = 1\n")
    assert (await command(relay, "status")).exit_code == 78
    relay.config.write_text(good)
    alone = await command(relay, "config", "show")
    assert "no relay answers on" in alone.stderr
    assert 'level = "debug"\n' in alone.stdout
