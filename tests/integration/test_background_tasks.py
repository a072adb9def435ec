"""Each background task of a relay is restarted after an unexpected exception."""

from pathlib import Path

import pytest

from relay.app.alert_mailer import AlertMailer
from relay.app.identity_pauses import ReputationWatch
from relay.app.maintenance import Maintenance
from relay.app.nightly_audit import NightlyAudit
from relay.domains.mail_exchanger import MailExchangers
from relay.domains.watcher import DomainWatcher
from relay.inbound.imap_poller import Poller
from relay.queue.shared_pauses import SharedPauses
from relay.tracker.monitor import TrackingMonitor
from relay.verification.verified_senders import VerifiedSenders
from tests.servers.relay_app import running
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

TASKS = {
    "imap": (Poller, "run"),
    "housekeeping": (Maintenance, "run"),
    "audit": (NightlyAudit, "run"),
    "reputation": (ReputationWatch, "run"),
    "pauses": (SharedPauses, "keep_fresh"),
    "mail exchangers": (MailExchangers, "run"),
    "domain watch": (DomainWatcher, "run"),
    "tracking guard": (TrackingMonitor, "run"),
    "alerts": (AlertMailer, "run"),
    "verified senders": (VerifiedSenders, "keep_fresh"),
}


async def test_an_unexpected_exception_restarts_a_background_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise RuntimeError("unexpected")

    for part, method in TASKS.values():
        monkeypatch.setattr(part, method, fail)

    async with Sink() as sink, running(RelayProcess(tmp_path, sink.port, "")) as up:
        await until(lambda: {line["task"] for line in up.lines("task.failed")} == set(TASKS))
        assert {line["error"] for line in up.lines("task.failed")} == {"RuntimeError('unexpected')"}
