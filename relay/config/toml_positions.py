"""Line numbers of the keys in a TOML document, which tomllib does not give."""

import re
import tomllib
from bisect import bisect_right

KeyPath = tuple[str | int, ...]
"""Path of a value: keys of tables, and indexes of array elements."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")

_KEY = re.compile(r"""[ \t]*([A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')[ \t]*""")

_STRING = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}(?!")|"(?:[^"\\\n]|\\.)*"''' r"""|'''.*?'{3,5}(?!')|'[^'\n]*'""", re.DOTALL
)

_BARE = re.compile(r"[^,\]}#\n]+")


def key_positions(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every table, key and array element.

    The text must be valid TOML. Takes linear time.
    """
    scan = _Scan(text)
    table: KeyPath = ()

    while scan.blank() < len(text):
        start = scan.at
        if text.startswith("[[", start):
            scan.at += 2
            table = scan.next_element(scan.key(), start)
            scan.at += 2
        elif text[start] == "[":
            scan.at += 1
            table = scan.table(scan.key())
            scan.note(table, start)
            scan.at += 1
        else:
            scan.pair(table)

    return scan.lines


class _Scan:
    """Scanner of a document: current offset, lines found, and last index of each array of tables."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._elements: dict[KeyPath, int] = {}

    def note(self, path: KeyPath, offset: int) -> None:
        """Record the line of the path, and of tables it defines implicitly."""
        line = bisect_right(self._newlines, offset - 1) + 1
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
        self.lines[path] = line

    def blank(self) -> int:
        """Skip white space, line ends and comments; return the new offset."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def key(self) -> list[str]:
        """Read a dotted key."""
        parts: list[str] = []
        while match := _KEY.match(self.text, self.at):
            self.at = match.end()
            part = match[1]
            parts.append(tomllib.loads(f"key = {part}")["key"] if part[0] in "\"'" else part)
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return parts

    def table(self, keys: list[str]) -> KeyPath:
        """Return the path of `[keys]`; in an array of tables it means the last element."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._elements:
                path = (*path, self._elements[path])
        return path

    def next_element(self, keys: list[str], offset: int) -> KeyPath:
        """Return the path of `[[keys]]`, a new element."""
        array = (*self.table(keys[:-1]), keys[-1])
        self._elements[array] = self._elements.get(array, -1) + 1
        path = (*array, self._elements[array])
        self.note(path, offset)
        return path

    def pair(self, table: KeyPath) -> None:
        """Read `key = value`."""
        self.blank()
        start = self.at
        path = (*table, *self.key())
        self.note(path, start)
        self.at += 1
        self.value(path)

    def value(self, path: KeyPath) -> None:
        """Skip a value, and record the keys and elements in it."""
        self.blank()
        first = self.text[self.at]
        if first == "[":
            self._items("]", path, counted=True)
        elif first == "{":
            self._items("}", path, counted=False)
        elif match := (_STRING if first in "\"'" else _BARE).match(self.text, self.at):
            self.at = match.end()

    def _items(self, close: str, path: KeyPath, *, counted: bool) -> None:
        self.at += 1
        index = 0
        while self.text[self.blank()] != close:
            if self.text[self.at] == ",":
                self.at += 1
            elif counted:
                self.note((*path, index), self.at)
                self.value((*path, index))
                index += 1
            else:
                self.pair(path)
        self.at += 1
