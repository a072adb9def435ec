"""Lists as CSV (RFC 4180), row by row: a list may be long."""

import csv
from collections.abc import AsyncIterator, Iterable, Sequence
from io import StringIO

from aiohttp import web

from relay.console.formats import cleaned
from relay.events.ports import StoreError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that spreadsheets take for a formula."""

Row = Sequence[object]


def csv_text(rows: Iterable[Row]) -> str:
    """Return rows as text. A cell that would be a formula gets an apostrophe in front: subjects come from outside."""
    written = StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    text = cleaned(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


async def csv_answer(
    request: web.Request, name: str, header: Sequence[str], pages: AsyncIterator[Iterable[Row]]
) -> web.StreamResponse:
    """Answer with a file of that name. The first page is read before the answer begins, so that an error is one."""
    first = await anext(pages, None)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="relay-{name}.csv"',
        }
    )
    await response.prepare(request)
    await response.write(csv_text([header, *(first or ())]).encode())
    try:
        async for page in pages:
            await response.write(csv_text(page).encode())
    except StoreError:
        # The status is sent. A connection that ends early is how HTTP says that the file is not whole.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


async def one_page(rows: Iterable[Row]) -> AsyncIterator[Iterable[Row]]:
    """Yield rows that are all there."""
    yield rows
