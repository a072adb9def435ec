"""One sender does all that it can to others, with a real relay: the mail of another one leaves as before."""

from pathlib import Path

from tests.abuse.bulkheads import HOSTILE_SHARE, MEMORY, SMALL, quantile, trial


async def test_single_mails_arrive_while_the_connections_of_another_sender_hang(tmp_path: Path) -> None:
    """Hostile hosts hold on for minutes. So a busy machine shows the same: `make abuse` has the bound in seconds."""
    found = await trial(tmp_path, SMALL)
    assert found.still_hostile == HOSTILE_SHARE >= found.hostile
    assert found.memory < MEMORY
    assert quantile(found.meanwhile, 0.5) < 1.0 + 10 * quantile(found.before, 0.5)
