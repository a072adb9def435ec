"""Dates as mail writes them (RFC 5322 section 3.3)."""

from datetime import UTC, datetime
from email.utils import format_datetime


def mail_date(at: float) -> str:
    """Return Unix seconds as "Wed, 25 Nov 2026 17:20:09 +0000"."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC))
