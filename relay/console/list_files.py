"""Files of addresses that people upload: the CSV of an export, one with a column of addresses, or plain lines."""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import StringIO

_NAMES = {"email": "address", "e-mail": "address", "mail": "address", "created": "created_at", "expires": "expires_at"}
"""Other names of columns."""

_TIMES = frozenset({"created_at", "expires_at"})


class ListFileError(ValueError):
    """The file cannot be read; the text says why."""


def read_list(octets: bytes, keys: frozenset[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield number and fields of each line that is not empty. Other columns than `keys` are ignored.

    Raises ListFileError.
    """
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListFileError(f"The file is not UTF-8: octet {error.start + 1} is not.") from None
    rows = csv.reader(StringIO(text), delimiter=_delimiter(text))
    header: list[str] | None = None
    for row in rows:
        cells = [_plain(cell) for cell in row]
        if not any(cells):
            continue
        if header is None:
            names = [_NAMES.get(cell.lower(), cell.lower()) for cell in cells]
            header = names if "address" in names else ["address"]
            if header is names:
                continue
        found = {name: cell for name, cell in zip(header, cells, strict=False) if name in keys and cell}
        yield rows.line_num, {name: _time(cell) if name in _TIMES else cell for name, cell in found.items()}


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _plain(cell: str) -> str:
    """Return a cell without the apostrophe that an export puts before formulas."""
    cell = cell.strip()
    return cell[1:] if cell[:1] == "'" and cell[1:2] in ("=", "+", "-", "@") else cell


def _time(cell: str) -> str:
    """Return a time in Unix seconds as RFC 3339; other texts unchanged."""
    if not cell.isdecimal() or len(cell) > 11:
        return cell
    return datetime.fromtimestamp(int(cell), UTC).isoformat()
