"""Pulls the events from the feed of relay instead of receiving webhooks.

    RELAY_KEY=rk_… python3 pull.py http://127.0.0.1:8027

Run it as a service, or from cron with --once.
"""

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from invoices import COLUMNS, Invoices

PAUSE = 5
"""Seconds between two requests while nothing is new."""

KINDS = ",".join(kind.removeprefix("message.") for kind in COLUMNS)


def pull(invoices: Invoices, url: str, key: str) -> bool:
    """Fetch and apply one page; return whether there is more."""
    query = {"kinds": KINDS, "limit": "500"} | ({"after": invoices.place} if invoices.place else {})
    request = Request(f"{url}/api/v1/events?{urlencode(query)}", headers={"Authorization": f"Bearer {key}"})
    with urlopen(request, timeout=30) as answer:
        page = json.load(answer)
    # Events and place are one transaction: after a crash the page comes again, and no event is missed.
    invoices.apply(page["events"], page["next"])
    return bool(page["more"])


def main() -> None:
    """Pull once, or for ever."""
    invoices, url, key = Invoices(Path("invoices.db")), sys.argv[1].rstrip("/"), os.environ["RELAY_KEY"]
    while True:
        while pull(invoices, url, key):
            pass
        if "--once" in sys.argv:
            return
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
