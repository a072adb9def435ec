"""Lexical tokens of structured header fields (RFC 5322 sections 3.2 and 4.1, RFC 6532). Pure, linear in the value."""

import re
from enum import Enum, auto

from relay.frozen import dataclass

_FOLD = r"\r\n(?=[ \t])"
_CHAR = r"[^\x00\r\n\ud800-\udfff]"
_PAIR = rf"\\{_CHAR}"

_TOKEN = re.compile(
    rf"""
      (?P<blank>(?>[ \t]|{_FOLD})++)
    | (?P<atom>[A-Za-z0-9!\#$%&'*+\-/=?^_`{{|}}~\u0080-\ud7ff\ue000-\U0010ffff]++)
    | (?P<quoted>"(?>[^"\\\x00\r\n\ud800-\udfff]|{_PAIR}|{_FOLD})*+")
    | (?P<literal>\[(?>[^\[\]\\\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]|{_FOLD})*+\])
    | (?P<special>[<>@,:;.])
    """,
    re.VERBOSE,
)
_IN_COMMENT = re.compile(rf"(?P<text>(?>[^()\\\x00\r\n\ud800-\udfff]|{_PAIR}|{_FOLD})++)|[()]")
_READABLE = re.compile(rf"(?>{_CHAR}|{_FOLD})*+")
"""Every quantifier is possessive, so that a failing match is linear too."""

_FAULTS = {
    '"': "a quoted string that does not end",
    "[": "an address literal that does not end",
    "]": "a ] without its [",
    ")": "a ) without its (",
    "\\": "a backslash outside a quoted string",
}


class Kind(Enum):
    """Kinds of tokens. Comments and folding white space only separate tokens."""

    ATOM = auto()
    QUOTED = auto()
    """A quoted string, quotes included."""
    LITERAL = auto()
    """A domain literal, brackets included."""
    SPECIAL = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token as written, and its offset in characters."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset after the token."""
        return self.start + len(self.text)


class LexicalError(ValueError):
    """Syntax error; `position` is its offset in characters."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


_KINDS = {"atom": Kind.ATOM, "quoted": Kind.QUOTED, "literal": Kind.LITERAL, "special": Kind.SPECIAL}


def tokens(value: str) -> list[Token]:
    """Return the tokens of a field value, folded or not, and an END; raise LexicalError.

    Octets that are not UTF-8 are surrogate escapes and not allowed (RFC 6532 section 3.2).
    """
    found: list[Token] = []
    at = 0
    while at < len(value):
        if value[at] == "(":
            at = _end_of_comment(value, at)
            continue
        match = _TOKEN.match(value, at)
        if match is None or match.lastgroup is None:
            raise _fault(value, at)
        if match.lastgroup != "blank":
            found.append(Token(_KINDS[match.lastgroup], match[0], at))
        at = match.end()

    found.append(Token(Kind.END, "", len(value)))
    return found


def _end_of_comment(value: str, start: int) -> int:
    """Return the offset after a comment and its nested comments."""
    at, depth = start, 0
    while (match := _IN_COMMENT.match(value, at)) is not None:
        at = match.end()
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if not depth:
            return at
    raise _character_fault(value, at) or LexicalError("a comment that does not end", start)


def _fault(value: str, at: int) -> LexicalError:
    inside = _READABLE.match(value, at)
    bad = None if inside is None else _character_fault(value, inside.end())
    return bad or LexicalError(_FAULTS.get(value[at], f"the character {value[at]!a}"), at)


def _character_fault(value: str, at: int) -> LexicalError | None:
    """Return the fault of a character that is not allowed anywhere in a field; None if it is allowed."""
    if at >= len(value):
        return None
    if "\ud800" <= value[at] <= "\udfff":
        return LexicalError("octets that are not UTF-8", at)
    if value[at] in "\0\r\n":
        return LexicalError(f"the control character {value[at]!a}", at)
    return None
