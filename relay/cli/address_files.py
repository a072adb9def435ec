"""Reads files of address lists: CSV, one address a line, or JSON lines. Every fault has its line."""

import csv
import json
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MAX_FIELD = 1 << 20
"""Characters of a field, at most."""

_DELIMITERS = (",", ";", "\t")
"""Between the fields of CSV; spreadsheets write semicolons where the comma is the decimal sign."""

_MARKS = (  # The mark of UTF-32 begins with that of UTF-16.
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, and the encoding that each shows."""

_NOT_TEXT = ((b"PK\x03\x04", "a spreadsheet or archive"), (b"\x1f\x8b", "a compressed file"), (b"%PDF", "a PDF"))


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of an entry, and the line of the file where it begins."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with a line, counted from 1."""

    line: int
    fault: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.fault}"


@dataclass(frozen=True, slots=True)
class AddressFile:
    """The rows of a file, the faults of all other lines, and the number of lines that are not empty."""

    rows: tuple[Row, ...] = ()
    faults: tuple[LineFault, ...] = ()
    lines: int = 0


def read_address_file(octets: bytes, columns: Sequence[str]) -> AddressFile:
    """Read a file. `columns` are the known columns of CSV, `address` among them.

    The first line decides about the form: a JSON object, the names of columns, or an address.
    """
    lines, fault = _decode(octets)
    texts = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if fault:
        return AddressFile(faults=(fault,), lines=len(texts))
    if not texts:
        return AddressFile()

    first, text = texts[0]
    if text.lstrip().startswith(("{", "[")):
        found = [_json_row(number, line) for number, line in texts]
    elif delimiter := _delimiter(text):
        found = list(_csv_rows(lines, first, delimiter, columns))
    elif "@" in text:
        found = [Row(number, {"address": line.strip()}) for number, line in texts]
    else:
        problem = "must be an address, a JSON object, or the names of columns with `address` among them"
        found = [LineFault(first, problem)]

    rows = tuple(one for one in found if isinstance(one, Row))
    faults = tuple(one for one in found if isinstance(one, LineFault))
    return AddressFile(rows, faults, len(texts))


def _decode(octets: bytes) -> tuple[list[str], LineFault | None]:
    """Return the lines without their ends, or the fault of the first line that is no text."""
    for start, what in _NOT_TEXT:
        if octets.startswith(start):
            return [], LineFault(1, f"this is {what}, not text; save the list as CSV in UTF-8")

    encoding = next((name for mark, name in _MARKS if octets.startswith(mark)), "utf-8")
    try:
        text = octets.decode(encoding)
    except UnicodeDecodeError as error:
        before = octets[: error.start].decode(encoding, "ignore")
        number = len(_split(before)) if before else 1
        advice = "-f WINDOWS-1252 -t UTF-8" if encoding.startswith("utf-8") else f"-f {encoding.upper()} -t UTF-8"
        name = encoding.removesuffix("-sig").upper()
        return [], LineFault(number, f"is not {name}; convert the file, for example with `iconv {advice}`")

    lines = _split(text)
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            problem = "has a NUL character; a file in UTF-16 without its mark needs `iconv -f UTF-16LE -t UTF-8`"
            return [], LineFault(number, problem)
    return lines, None


def _split(text: str) -> list[str]:
    """Return the lines by CRLF, LF and CR only: other separators of Unicode may stand within a field."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _json_row(number: int, line: str) -> Row | LineFault:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return LineFault(number, 'is not JSON; each line is one object, such as {"address": "a@example.com"}')
    if not isinstance(value, dict):
        return LineFault(number, 'is not a JSON object such as {"address": "a@example.com"}')
    return Row(number, value)


def _delimiter(header: str) -> str:
    """Return the delimiter by which the first line names a column `address`, "" if it does not."""
    for delimiter in _DELIMITERS:
        if "address" in _column_names(header, delimiter):
            return delimiter
    return ""


def _column_names(header: str, delimiter: str) -> list[str]:
    try:
        (names,) = csv.reader([header], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        return []
    return [name.strip().lower() for name in names]


def _csv_rows(lines: Sequence[str], first: int, delimiter: str, columns: Sequence[str]) -> Iterator[Row | LineFault]:
    """Yield the rows of CSV (RFC 4180), with as many fields as the first line has.

    A field ends on its line: a line end within quotes is nearly always an open quote, and would swallow rows.
    """
    names = _column_names(lines[first - 1], delimiter)
    if fault := _header_fault(names, columns):
        yield LineFault(first, fault)
        return

    csv.field_size_limit(MAX_FIELD)
    for number, line in enumerate(lines[first:], first + 1):
        if not line.strip():
            continue
        try:
            (fields,) = csv.reader([line], delimiter=delimiter, strict=True)
        except csv.Error as error:
            yield LineFault(number, _csv_fault(str(error)))
            continue
        if len(fields) == len(names):
            named = dict(zip(names, fields, strict=True))
            yield Row(number, {**named, "address": named["address"].strip()})
        else:
            yield LineFault(number, f"has {len(fields)} fields, and the first line names {len(names)}")


def _header_fault(names: Sequence[str], columns: Sequence[str]) -> str:
    known = ", ".join(columns)
    for at, name in enumerate(names, 1):
        if not name:
            return f"column {at} has no name; known are {known}"
        if name not in columns:
            return f"column {name!r} is unknown; known are {known}"
        if name in names[: at - 1]:
            return f"column {name!r} is there twice"
    return ""


def _csv_fault(error: str) -> str:
    if "unexpected end" in error:
        return "a quoted field is not closed; a quote within quotes is written twice"
    if "expected after" in error:
        return "there is text behind the closing quote; a quote within quotes is written twice"
    if "field larger" in error:
        return f"a field has more than {MAX_FIELD} characters"
    return "is not CSV (RFC 4180)"
