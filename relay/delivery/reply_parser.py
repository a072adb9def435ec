"""Parses SMTP replies strictly (RFC 5321 sections 4.2 and 4.5.3.1.5). Pure."""

import re
from dataclasses import dataclass
from functools import lru_cache

from relay.mail.reply import Reply, parse_reply

MAX_LINE = 4096
"""Octets of a line, at most. RFC 5321 allows 512, which some servers exceed."""

MAX_REPLY = 32 * 1024
"""Octets of all lines of a reply, at most."""

MAX_LINES = 200
"""Lines of a reply, at most."""

MAX_EMPTY_LINES = 20
"""Empty lines before and within the replies of a connection, at most."""

_SHORT = 512
"""Octets of a line whose parsed reply is cached, at most: the length that RFC 5321 allows."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*)|([A-Za-z].*))?", re.DOTALL)
"""A line of a reply. Some servers leave out the blank: "250OK". A letter cannot be part of the code."""


@dataclass(frozen=True, slots=True)
class MalformedReply:
    """Octets that are no SMTP reply. The connection is unusable from here on."""

    what: str


class ReplyReader:
    """Collects octets and returns whole replies in order. After a `MalformedReply` it returns none."""

    __slots__ = ("_broken", "_buffer", "_code", "_empty_lines", "_lines", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []
        self._code = b""
        self._size = 0
        self._empty_lines = 0
        self._broken = False

    @property
    def is_clean(self) -> bool:
        """Whether no octet of a further reply has arrived."""
        return not self._buffer and not self._lines and not self._broken

    def feed(self, data: bytes) -> list[Reply | MalformedReply]:
        """Return the replies that these octets complete. Lines may end in a bare LF, which some servers send."""
        found: list[Reply | MalformedReply] = []
        if self._broken:
            return found

        *lines, self._buffer = (self._buffer + data if self._buffer else data).split(b"\n")
        for line in lines:
            # Most replies have one line.
            reply = _whole_reply(line) if len(line) <= _SHORT and not self._lines else None
            if reply is not None:
                found.append(reply)
                continue
            result = self._line(line.removesuffix(b"\r"))
            if result is not None:
                found.append(result)
            if isinstance(result, MalformedReply):
                return found

        if len(self._buffer) > MAX_LINE:
            found.append(self._malformed(f"a line longer than {MAX_LINE} octets"))
        return found

    def _line(self, line: bytes) -> Reply | MalformedReply | None:
        # Some servers send an empty line before or within a reply. It has no code, so it cannot be taken for one.
        if not line.strip() and self._empty_lines < MAX_EMPTY_LINES:
            self._empty_lines += 1
            return None
        match = _LINE.fullmatch(line)
        if match is None:
            return self._malformed(f"no SMTP reply: {line[:80]!r}")

        code, separator, text = match[1], match[2], _text_of(match)
        if self._lines and code != self._code:
            return self._malformed(f"one reply with two codes, {self._code.decode()} and {code.decode()}")
        self._size += len(line)
        if len(line) > MAX_LINE or self._size > MAX_REPLY or len(self._lines) == MAX_LINES:
            return self._malformed("an endless reply")

        self._code = code
        self._lines.append(text.decode("utf-8", "replace").strip())
        if separator == b"-":
            return None
        reply = parse_reply(int(code), printable("\n".join(self._lines)))
        self._lines, self._size = [], 0
        return reply

    def _malformed(self, what: str) -> MalformedReply:
        self._broken = True
        self._buffer = b""
        return MalformedReply(what)


def _text_of(match: re.Match[bytes]) -> bytes:
    return match[3] or match[4] or b""


@lru_cache(maxsize=512)
def _whole_reply(line: bytes) -> Reply | None:
    """Return a reply of one line, None for any other line. It is cached, because servers repeat the same few lines."""
    match = _LINE.fullmatch(line.removesuffix(b"\r"))
    if match is None or match[2] == b"-":
        return None
    return parse_reply(int(match[1]), printable(_text_of(match).decode("utf-8", "replace").strip()))


def printable(text: str) -> str:
    """Replace control characters, because replies appear in logs, DSNs and on terminals."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
