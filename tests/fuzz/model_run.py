"""The queue against its model, with other stories each time: `python -m tests.fuzz.model_run SECONDS`."""

import os
import subprocess
import sys

STORIES_A_SECOND = 2
"""Stories that a quiet machine tries in a second, over both stores."""


def main(seconds: int) -> int:
    stories = max(seconds * STORIES_A_SECOND // 2, 5)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=0", "tests/contract/test_queue_model.py"]
    done = subprocess.run(command, env=os.environ | {"RELAY_MODEL_EXAMPLES": str(stories)}, check=False)
    print(f"fuzz model: {stories} stories for each store, {'nothing found' if not done.returncode else 'failed'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
