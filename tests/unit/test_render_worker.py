"""A renderer starts under the limits that the system gives it."""

import subprocess
import sys

import pytest

LIMITING = """
import resource
from relay.render.worker import limit_memory
resource.setrlimit(resource.RLIMIT_AS, ({hard}, {hard}))
limit_memory({wanted})
print(resource.getrlimit(resource.RLIMIT_AS)[0])
"""


@pytest.mark.parametrize(
    ("hard", "wanted", "allowed"),
    [(-1, 3 << 30, 3 << 30), (2 << 30, 3 << 30, 2 << 30), (3 << 30, 2 << 30, 2 << 30)],
)
def test_a_lower_limit_of_the_system_holds(hard: int, wanted: int, allowed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITING.format(hard=hard, wanted=wanted)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"{allowed}\n", "")
