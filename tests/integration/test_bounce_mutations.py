"""Every tenth of the labelled mails, mutated each way; `python -m tests.bounces --mutations` takes them all."""

import pytest

from tests.bounces.cases import labels
from tests.bounces.mutations import MUTATIONS, wrong_ones
from tests.shared import shared


@pytest.mark.parametrize(("turn", "name"), list(enumerate(MUTATIONS)))
def test_less_certain_never_wrong(turn: int, name: str) -> None:
    data = shared("data/bounces")
    files = [label["file"] for label in labels(data / "labels.jsonl")][turn % 10 :: 10]
    assert wrong_ones(data, name, files) == []
