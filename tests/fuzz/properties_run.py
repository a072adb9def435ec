"""More examples of the properties that `make test` tries a few of: `python -m tests.fuzz.properties_run SECONDS`."""

import os
import subprocess
import sys

EXAMPLES_A_SECOND = 10
"""Examples of every property that a quiet machine tries in a second."""


def main(seconds: int) -> int:
    examples = seconds * EXAMPLES_A_SECOND
    command = (sys.executable, "-m", "pytest", "-q", "-x", "--timeout=0", "-m", "hypothesis", "tests")
    done = subprocess.run(command, env=os.environ | {"RELAY_TEST_EXAMPLES": str(examples)}, check=False)
    print(f"fuzz properties: {examples} examples of each, {'nothing found' if not done.returncode else 'failed'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
