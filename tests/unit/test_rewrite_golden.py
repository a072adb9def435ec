"""Small messages and what becomes of them: `tests/golden/rewrite/NAME.eml`, and the decisions in `NAME.json`.

`NAME.after` is the rewritten message, byte for byte; there is none where the message must come back untouched.
"""

import json
from pathlib import Path

import pytest

from relay.mail.queue_id import queue_id
from relay.rewrite.message import rewrite
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring, Kind, verify_token

SAMPLES = sorted((Path(__file__).parents[1] / "golden" / "rewrite").glob("*.eml"))

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_764_000_000.0, 1)

TRACKING = Tracking(base_url="https://t.acme.test", exclude_hosts=("*.garden.test",))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_golden_messages_are_rewritten_as_recorded(sample: Path) -> None:
    content = sample.read_bytes()
    result = rewrite(content, TRACKING, RING, QUEUE_ID, 0)
    decided = {
        "links": [[link.part, link.target, link.reason] for link in result.links],
        "pixel": result.pixel,
        "skipped": list(result.skipped),
    }
    assert decided == json.loads(sample.with_suffix(".json").read_text("utf-8"))
    after = sample.with_suffix(".after")
    if after.exists():
        assert result.content == after.read_bytes()
    else:
        assert result.content is content


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_every_tracked_link_leads_to_its_target(sample: Path) -> None:
    for link in rewrite(sample.read_bytes(), TRACKING, RING, QUEUE_ID, 0).links:
        token = verify_token(RING, Kind.CLICK, link.url.rpartition("/")[2])
        assert (token.target if token else None) == (link.target if link.tracked else None)


def test_there_are_samples() -> None:
    assert len(SAMPLES) > 20
