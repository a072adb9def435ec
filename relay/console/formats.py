"""Numbers, times and words as the pages show them. Pure. Times are Unix seconds and are shown in UTC."""

from collections.abc import Sequence
from datetime import UTC, datetime

from relay.events.event_line import MAX_TIME

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

STATUSES = {
    "created": ("new", "Accepted"),
    "processed": ("new", "Being sent"),
    "deferred": ("wait", "Deferred"),
    "held": ("hold", "Held"),
    "delivered": ("ok", "Delivered"),
    "bounced": ("bad", "Bounced"),
    "dropped": ("drop", "Dropped"),
}
"""Class of the badge and word of each status of a recipient."""


def number(value: float) -> str:
    """Return a whole number with separators of thousands."""
    return f"{round(value):,}"


def in_words(value: int) -> str:
    """Return a number up to twelve as a word."""
    return NUMBERS[value] if 0 <= value < len(NUMBERS) else number(value)


def part_of(part: int, whole: int) -> str:
    """Return how many of all, as the beginning of a sentence: "None of two", "One of three", "Both", "All five"."""
    if part == whole:
        return {1: "The only one", 2: "Both"}.get(whole, f"All {in_words(whole)}")
    return f"{in_words(part).capitalize() if part else 'None'} of {in_words(whole)}"


def counted(value: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 recipient", "231 recipients"."""
    return f"{number(value)} {one if value == 1 else many or f'{one}s'}"


def percent(part: float, whole: float) -> str:
    """Return a share as a percentage, with two places below one per cent."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.2f} %" if 0 < share < 1 else f"{share:.1f} %" if 0 < share < 100 else f"{share:.0f} %"


def octets(value: int) -> str:
    """Return a size."""
    if value < 1000:
        return f"{value} B"
    return f"{value / 1e3:.1f} KB" if value < 1e6 else f"{value / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit: "1.2 s", "31 min", "26 h", "3 days"."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 4 * _DAY else f"{seconds / _DAY:.0f} days"


def moment(at: float, now: float = 0.0) -> str:
    """Return a time to the second: without the date on the day of `now`, without the year in its year; "" for none."""
    if not 0 < at <= MAX_TIME:
        return ""
    time, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(max(now, 0.0), UTC)
    clock = f"{time:%H:%M:%S}"
    if time.date() == today.date():
        return clock
    return f"{day(at)} {clock}" if time.year == today.year else f"{day(at)} {time.year} {clock}"


def minute(at: float, now: float = 0.0) -> str:
    """Return a time to the minute."""
    return moment(at, now)[:-3]


def day(at: float) -> str:
    """Return a date without its year: "4 Aug"."""
    time = datetime.fromtimestamp(at, UTC)
    return f"{time.day} {time:%b}"


def date(at: float) -> str:
    """Return a date: "4 Aug 2026"; "" for none."""
    return f"{day(at)} {datetime.fromtimestamp(at, UTC).year}" if 0 < at <= MAX_TIME else ""


def exact(at: float) -> str:
    """Return a time for the attribute `datetime`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}" if 0 <= at <= MAX_TIME else ""


def time_of_json(text: object) -> float:
    """Return the time of a field that `time_json` wrote, 0 for None."""
    return datetime.fromisoformat(str(text)).timestamp() if text else 0.0


def listed(words: Sequence[str], most: int = 3) -> str:
    """Return words as a list: "a", "a and b", "a, b and 3 more"."""
    shown = list(words[:most]) if len(words) <= most else [*words[: most - 1], f"{len(words) - most + 1} more"]
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital letter first and a full stop last."""
    bare = text.strip().rstrip(".")
    return f"{bare[:1].upper()}{bare[1:]}." if bare else ""


def cleaned(text: str) -> str:
    """Replace unprintable characters by spaces, and surrogates by "?"."""
    printable = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return printable.encode("utf-8", "replace").decode()
