"""Nodes on one PostgreSQL that are killed while it restarts: the short form of `make nodes`."""

from pathlib import Path

from tests.abuse.nodes.trial import Plan, run
from tests.abuse.nodes.verdict import DEFECTS, evaluate

SHORT = Plan(
    nodes=2,
    senders=6,
    kills=3,
    restarts=1,
    gap=(0.5, 1.5),
    down=(0.3, 1.0),
    working=0.5,
    away=(0.5, 1.0),
    patience=60.0,
    identity_hourly=5,
    scarce_daily=10,
)


async def test_nothing_is_lost_and_limits_hold_while_nodes_and_the_server_are_killed(tmp_path: Path) -> None:
    verdict = evaluate(await run(SHORT, tmp_path))
    assert verdict.lost == []
    assert verdict.unexplained == []
    assert verdict.leaks == []
    assert [limit for limit in verdict.limits if not limit["holds"]] == []
    assert int(str(verdict.limits[0]["full"])) > 0, "no limit was ever full: they prove nothing"
    assert DEFECTS.isdisjoint(verdict.said), verdict.said
    assert verdict.held_back > 0
    assert len(verdict.by_kill) == 3
    assert sum(int(str(kill["in_hand"])) for kill in verdict.by_kill) > 0, "the kills struck nothing"
    assert [restart["mode"] for restart in verdict.by_restart] == ["immediate"]
    assert verdict.delivered > 100
