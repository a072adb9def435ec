"""The guards of tests/integration/test_postgres_plans.py over a million queued entries, with what each statement costs.

    python -m tests.abuse.nodes.scale [--queued 1000000] [--lanes 10000]

Ends with 1 when a statement reads a big table from end to end.
"""

import argparse
import os
import sys
import time
from contextlib import ExitStack

from relay.storage.postgres.connection import PostgresSession
from tests.integration.postgres_plans import COUNTING, Plan, Statement, asked, filled, hot, plan
from tests.servers.postgres import PostgresServer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, default=1_000_000, help="entries that wait (default: %(default)s)")
    parser.add_argument("--lanes", type=int, default=10_000, help="in so many lanes (default: %(default)s)")
    wanted = parser.parse_args()
    count = wanted.queued * 10 // 9 + 10  # One of ten is delivered.
    with ExitStack() as stack:
        if not (server := os.environ.get("RELAY_TEST_POSTGRES", "")):
            ours = PostgresServer(shared_buffers="256MB")
            stack.callback(ours.close)
            server = ours.url
        began = time.monotonic()
        session = stack.enter_context(filled(server, count, wanted.lanes))
        print(f"{count} messages made in {time.monotonic() - began:.0f} s")
        return 1 if guard(session, count) else 0


def guard(session: PostgresSession, count: int) -> int:
    """Carry out every statement twice, print what the second time cost; return how many read a table as a whole."""
    broken = 0
    print(f"{'statement':28}{'ms':>9}{'pages':>9}")
    for seeking, statements in ((True, hot(count)), (False, asked(count))):
        for name, statement in statements.items():
            found = warmed(session, statement, seeking=seeking)
            wrong = bool(found.scanned) or (seeking and name not in COUNTING and found.through_open)
            broken += wrong
            says = f"  READS {', '.join(sorted(found.scanned)) or 'all open entries'}" if wrong else ""
            print(f"{name:28}{found.milliseconds:9.2f}{found.pages:9}{says}", flush=True)
    return broken


def warmed(session: PostgresSession, statement: Statement, *, seeking: bool) -> Plan:
    plan(session, statement, seeking=seeking, carry_out=True)
    return plan(session, statement, seeking=seeking, carry_out=True)


if __name__ == "__main__":
    sys.exit(main())
