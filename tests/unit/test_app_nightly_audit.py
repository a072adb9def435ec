"""The nightly audit: when it runs, what it logs, counts and alerts, and what it leaves to other nodes."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from relay.app import nightly_audit
from relay.app.alerts import Alert
from relay.app.nightly_audit import AT_HOUR, NightlyAudit, next_audit
from relay.app.observer import Observer
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.queue.nodes import NodeShare, NodeState
from relay.reports.store_audit import AuditedEntry, AuditedMessage

NOON = datetime(2030, 1, 15, 12).astimezone().timestamp()

NIGHT = datetime(2030, 1, 16, AT_HOUR).astimezone().timestamp()


class Nodes:
    leads = True
    share = NodeShare()

    async def states(self) -> Sequence[NodeState]:
        return ()


class Messages:
    """A store with one message, which has as many entries without events as are asked for."""

    def __init__(self, leaks: int = 0) -> None:
        self.leaks = leaks
        self.audits = 0
        self.fails = False

    async def complete_since(self, retained_since: float) -> float:
        if self.fails:
            raise StoreError("away")
        self.audits += 1
        return retained_since

    async def step(self, after: str) -> tuple[Sequence[AuditedMessage], str | None]:
        entries = {number: AuditedEntry("waiting", leased=False) for number in range(self.leaks)}
        return ([AuditedMessage("A", NOON, has_content=True, entries=entries)] if entries else []), None


class Night:
    def __init__(self, leaks: int = 0, toml: dict[str, object] | None = None) -> None:
        self.now = NOON
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.alerts: list[Alert] = []
        self.nodes, self.store = Nodes(), Messages(leaks)
        settings = Settings.model_validate({"queue": toml or {}})
        self.observer = Observer(self, lambda: self.now, self.alerts.append)  # type: ignore[arg-type]
        self.audit = NightlyAudit(lambda: settings, self.store, self.nodes, self.observer, lambda: self.now)

    def __call__(self, line: str, /, **fields: object) -> None:
        self.lines.append((line, fields))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly_audit, "PAUSE_FACTOR", 0.0)


def test_it_is_due_at_three_in_the_night() -> None:
    assert next_audit(NOON) == NIGHT
    assert next_audit(NIGHT - 1) == NIGHT
    assert next_audit(NIGHT) == NIGHT + 86400


async def test_it_runs_once_a_night_and_says_so() -> None:
    night = Night()
    due = await night.audit.run_if_due(NIGHT)
    assert (due, night.store.audits) == (NIGHT, 0)
    night.now = NIGHT + 5
    due = await night.audit.run_if_due(due)
    assert (due, night.store.audits) == (NIGHT + 86400, 1)
    assert await night.audit.run_if_due(due) == due
    assert night.store.audits == 1
    assert [line for line, _ in night.lines] == ["audit.done"]
    assert night.alerts == []
    assert b"relay_audit_leaks 0.0" in night.observer.metrics.exposition()


async def test_a_clock_that_was_set_back_delays_it_by_a_day_at_most() -> None:
    night = Night()
    assert await night.audit.run_if_due(NIGHT + 30 * 86400) == NIGHT


async def test_leaks_are_logged_counted_and_alerted_within_bounds() -> None:
    night = Night(leaks=50)
    night.now = NIGHT
    await night.audit.run_if_due(NIGHT)
    logged = [fields for line, fields in night.lines if line == "audit.leak"]
    assert len(logged) == 20
    assert logged[0] == {"queue_id": "A", "number": 0, "identity": "", "fault": "has 0 events created, not one"}
    assert night.lines[-1] == ("audit.done", {"waiting": 50, "leaks": 50, "seconds": 0.0})
    (alert,) = night.alerts
    assert alert.subject == "the audit found 50 leaks"
    assert "A/19: has 0 events created, not one" in alert.text
    assert "and 30 more" in alert.text
    assert b"relay_audit_leaks 50.0" in night.observer.metrics.exposition()


async def test_one_node_does_it_for_all() -> None:
    night = Night()
    night.nodes.leads, night.now = False, NIGHT
    assert await night.audit.run_if_due(NIGHT) == NIGHT + 86400
    assert night.store.audits == 0


async def test_it_can_be_turned_off() -> None:
    night = Night(toml={"nightly_audit": False})
    night.now = NIGHT
    await night.audit.run_if_due(NIGHT)
    assert night.store.audits == 0


async def test_an_audit_that_fails_is_repeated() -> None:
    night = Night()
    night.store.fails, night.now = True, NIGHT + 5
    due = await night.audit.run_if_due(NIGHT)
    assert [line for line, _ in night.lines] == ["store.trouble"]
    night.store.fails = False
    await night.audit.run_if_due(due)
    assert night.store.audits == 1
