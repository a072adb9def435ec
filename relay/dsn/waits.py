"""The time a reply asks to wait before the next attempt."""

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_WAIT = 7 * 86400.0
_CONTEXT = re.compile(
    r"\b(?:try|retry\w{0,3}|tried|again|wait|gr[ae]y ?list\w{0,4}|resend|re ?attempt|come back"
    r"|defer\w{0,3}|delay\w{0,2})\b"
)
_UNIT = r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
_AMOUNT = re.compile(
    r"\b(?:in|after|for|wait|within|least|about|next|delay|another)\s?"
    rf"(?:about |approximately |at least |another |the next )?(\d{{1,6}})\s?{_UNIT}\b"
)
_CLOCK = re.compile(r"\b(?:in|after|for|wait)\s(\d{1,3})[: ]([0-5]\d)[: ]([0-5]\d)\b")


def named_wait(normal: str) -> float | None:
    """Return the seconds a reply in its normal form asks to wait, at most a week; None when it names no time."""
    if _CONTEXT.search(normal) is None:
        return None
    clock = _CLOCK.search(normal)
    if clock is not None:
        return min(_MAX_WAIT, int(clock[1]) * 3600.0 + int(clock[2]) * 60.0 + int(clock[3]))
    amount = _AMOUNT.search(normal)
    if amount is None:
        return None
    return min(_MAX_WAIT, int(amount[1]) * _UNITS[amount[2][0]])
