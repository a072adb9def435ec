"""What an application reads about why its entries wait: of what all senders share the fact, not the replies. Pure.

The reply that limits a site or a lane may name the mail of another sender.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from relay.queue.entry import Entry
from relay.queue.operator_actions import is_held_by_application
from relay.queue.wait_reasons import Reason

_SHARED: Mapping[str, str] = {
    "store": "the relay cannot use its store now",
    "node": "the relay takes no part in deliveries now",
    "lane paused": "deliveries to these servers are paused after a failure",
    "lane full": "the transactions with these servers that are allowed at the same time are in progress",
    "site connections": "the connections to the receiver that are allowed are in use",
    "site rate": "the receiver gets mail at a limited rate",
}
"""Texts of causes that concern the mail of all senders."""

_SHARED_PAUSE = re.compile(r"(its (?:site|provider|domain) \S+ is paused): .*", re.DOTALL)
"""The reason of entries that a pause holds back which concerns others too, with its cause."""

_REMEDIES: Mapping[str, str] = {
    "paused": "POST /api/v1/pauses/resume, if an application paused it; else an operator must resume it",
    "release time": "wait; an operator can raise the limit",
    "back-off": "POST /api/v1/queue/flush",
}
"""What an application can do."""


def own_text(text: str) -> str:
    """Return the reason of an entry as an application reads it: without the cause of a pause that others share."""
    return _SHARED_PAUSE.sub(r"\1", text)


def own_reason(reason: Reason, entry: Entry) -> Reason:
    """Return a reason as an application reads it."""
    remedy = _REMEDIES.get(reason.cause, "")
    if reason.cause == "held":
        ours = is_held_by_application(entry)
        remedy = "POST /api/v1/queue/release" if ours else "an operator must release it"
    return replace(reason, text=_SHARED.get(reason.cause) or own_text(reason.text), remedy=remedy)
