"""Faults of TOML documents, worded by what is wrong and what would be right."""

import re
import tomllib
from typing import Any

_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")

_WORDS: tuple[tuple[str, str, str], ...] = (
    ("Invalid statement", "the line is no key, table or comment", "key = value, [table], or # and a comment"),
    ("Expected newline or end of document", "there is text behind the value", "a line end, or # and a comment"),
    (
        r"Expected '\]' at the end of a table",
        "the name of the table has no ] behind it",
        "[table] on a line of its own",
    ),
    (r"Expected '\]\]' at the end of an array", "the name of the table has no ]] behind it", "[[table]]"),
    ("Expected '=' after a key", "there is no = behind the key", "key = value; quotes around unusual keys"),
    ("Expected", "a string is not closed", "the same quotes at its end"),
    ("Unterminated string", "a string is not closed", "the same quotes at its end"),
    (
        r"Illegal character '\\n'",
        "a string is not closed on its line",
        'quotes at its end, or """ around several lines',
    ),
    ("Found invalid character|Illegal character", "there is a control character", "text, or an escape such as \\t"),
    ("Cannot declare .* twice", "the table is there twice", "one table with all its keys"),
    ("Cannot redefine namespace", "the table is there already, by a key with dots", "one form for all its keys"),
    ("Cannot mutate immutable namespace", "the table or array above is complete already", "all its keys in one place"),
    ("Cannot overwrite a value|Duplicate inline table key", "the key has a value already", "each key once"),
    ("Invalid initial character for a key part", "a key is missing or not of a known form", "letters, digits, - and _"),
    ("Unclosed array", "the array is not closed", "] at its end"),
    ("Unclosed inline table", "the table in braces is not closed on its line", "} at its end"),
    (r"Unescaped '\\'", "a string has a backslash with no known escape", r"\\ for a backslash, or '…' around the text"),
    ("Invalid hex value", "an escape has not enough hexadecimal digits", r"\u and four digits, \U and eight"),
    ("Escaped character is not", "an escape is no Unicode character", r"\u0000 to \uD7FF, \uE000 to \U0010FFFF"),
    ("Invalid date or datetime", "the date or time does not exist", "such as 2030-01-31T12:00:00Z"),
    (r"Invalid value \(at end", "the last value is missing or not closed", "the value, with ], } or quotes at its end"),
    ("Invalid value", "the value is missing or of no known form", 'true, 5, "text" in quotes, [array], { table }'),
    ("Exceeds the limit .* digits|.*integer string conversion", "a number has too many digits", "a shorter number"),
    (".*nested|.*recursion", "arrays and tables are nested too deeply", "fewer levels"),
)
"""Beginning of the text of tomllib, what is wrong, and what would be right."""

MAX_DEPTH = 50
"""Levels of tables and arrays, at most: code that follows them recursively must not fail."""


class TomlFault(Exception):  # noqa: N818 - the word of this package for what is wrong with a file
    """A text that is not TOML: the problem, and what would be right. `line` and `column` count from 1, 0 if unknown."""

    def __init__(self, problem: str, allowed: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"{problem}; allowed: {allowed}" if allowed else problem)
        self.problem = problem
        self.allowed = allowed
        self.line = line
        self.column = column


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values of a TOML document; raise TomlFault for any text that is none."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _fault(str(error), text) from None
    if _depth(values) > MAX_DEPTH:
        raise _fault("nested", text)
    return values


def _depth(values: object) -> int:
    depth, level = 0, [values]
    while level and depth <= MAX_DEPTH:
        depth += 1
        tables = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [inner for one in tables for inner in one]
    return depth


def _fault(raw: str, text: str) -> TomlFault:
    """Return the fault for a text of tomllib, which may change: unknown ones get words that fit all."""
    at = _POSITION.search(raw)
    problem, allowed = next(
        ((problem, allowed) for start, problem, allowed in _WORDS if re.match(start, raw, re.DOTALL)),
        ("the text cannot be read from here", "TOML 1.0"),
    )
    if at is None:
        return TomlFault(problem, allowed)
    line = int(at[1]) if at[1] else text.rstrip("\n").count("\n") + 1
    return TomlFault(problem, allowed, line, int(at[2] or 0))
