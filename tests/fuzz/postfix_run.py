"""Address lists against a running Postfix, other ones each time: `python -m tests.fuzz.postfix_run SECONDS [SEED]`."""

import asyncio
import random
import sys
import time

import pytest

from tests.fuzz.postfix_reading import AT_ONCE, missed_addresses, values
from tests.servers.postfix import need_postfix


def main(seconds: float, seed: int) -> int:
    try:
        need_postfix()
    except pytest.skip.Exception as reason:
        print(f"fuzz postfix: skipped: {reason}")
        return 0
    dice, tried, until = random.Random(seed), 0, time.monotonic() + seconds
    while True:
        missed, seen = asyncio.run(missed_addresses(values(dice, AT_ONCE)))
        tried += AT_ONCE
        if missed:
            print(f"fuzz postfix: it sees an address that was read in another way (seed {seed}):")
            print(*map(repr, missed[:20]), sep="\n")
            return 1
        if time.monotonic() > until:
            print(f"fuzz postfix: {tried} lists, in {seen} of the last {AT_ONCE} it saw the address; nothing found")
            return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())))
