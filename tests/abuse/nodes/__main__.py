"""The long proof of several nodes on one PostgreSQL: kill -9, restarts of the server, limits that bind.

    python -m tests.abuse.nodes [--nodes 3] [--senders 20] [--kills 20] [--restarts 2] [--seed N] [--json]

Ends with 1 when a message was lost that was answered with 250, when one came twice that nothing excuses, or when a
limit was exceeded. PostgreSQL is the one of the tests; RELAY_TEST_POSTGRES names another, which is not restarted.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.abuse.nodes.trial import Plan, run
from tests.abuse.nodes.verdict import Verdict, evaluate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nodes", "senders", "kills", "restarts", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan(), name))
    parser.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and notes")
    asked = parser.parse_args()
    named = os.environ.get("RELAY_TEST_POSTGRES", "")
    if asked.nodes < 2 or asked.senders < 4:
        parser.error("at least 2 nodes (one is left while another is down) and 4 senders (three of them are limited)")
    if named and asked.restarts:
        parser.error("the server of RELAY_TEST_POSTGRES is not ours to restart: give --restarts 0")
    if asked.restarts > asked.kills:
        parser.error("restarts come between kills: --restarts may not be above --kills")
    plan = Plan(asked.nodes, asked.senders, asked.kills, asked.restarts, asked.seed)
    folder = Path(tempfile.mkdtemp(prefix="relay-nodes-"))
    verdict = evaluate(asyncio.run(run(plan, folder, named)))
    if asked.keep or not verdict.holds:
        print(f"logs and notes are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    print(json.dumps(asdict(verdict)) if asked.json else table(verdict))
    return 0 if verdict.holds else 1


def table(verdict: Verdict) -> str:
    """Return the verdict for people."""
    lines = [
        f"{verdict.seconds} s, {verdict.drain_seconds} s of them until the queue was empty after the last 250",
        f"acknowledged   {verdict.acknowledged} messages, {verdict.promised} deliveries",
        f"delivered      {verdict.delivered}, held back by limits {verdict.held_back}",
        f"lost           {len(verdict.lost)} {verdict.lost[:5] or ''}".rstrip(),
        f"duplicates     {verdict.duplicates}, unexplained {len(verdict.unexplained)} {verdict.unexplained[:5] or ''}",
        f"leaks          {len(verdict.leaks)} {verdict.leaks[:5] or ''}".rstrip(),
        f"sent again     {verdict.resent} messages by clients that saw no reply to what had been taken",
        f"takeover       {verdict.takeover_seconds} s",
    ]
    for title, rows in (("kills", verdict.by_kill), ("restarts", verdict.by_restart), ("limits", verdict.limits)):
        lines += [f"{title}:", *("  " + ", ".join(f"{key} {value}" for key, value in row.items()) for row in rows)]
    for title, counts in (("refusals", verdict.refusals), ("the nodes' logs", verdict.said)):
        lines += [f"{title}:", *(f"  {count} × {text}" for text, count in counts.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
