"""Which mails a mail answers, by its own word (RFC 5322 section 3.6.4). Pure."""

import re
from collections.abc import Iterable

from relay.dsn.parts import read_header
from relay.dsn.report import Report

_ID = re.compile(r"<[^<>\s]{1,900}>")

MOST = 20
"""Message-IDs that are looked up at most."""

_FIELDS = ("in-reply-to", "references")


def answered(content: bytes, report: Report) -> list[str]:
    """Return the Message-IDs a mail answers, the nearest first; those of a message enclosed in it count too.

    References name the oldest first, so they are read backwards.
    """
    header = read_header(content).pairs
    own = [found for name in _FIELDS for found in _ids(header, name)]
    enclosed = [found for name in ("message-id", *_FIELDS) for found in _ids(report.returned, name)]
    return list(dict.fromkeys([*own, *enclosed]))[:MOST]


def _ids(pairs: Iterable[tuple[str, str]], name: str) -> list[str]:
    return [found for key, value in pairs if key == name for found in reversed(_ID.findall(value))]
