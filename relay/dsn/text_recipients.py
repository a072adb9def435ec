"""Finds the recipients named in free-text reports."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from relay.dsn.address_pattern import ADDRESS, clean_address, is_mail_system
from relay.dsn.report_wordings import FAILS, any_of

MAX_FOUND = 100

_MAX_IN_LINE = 20

_MAX_CANDIDATES = 200
"""Maximum number of lines with an address that are searched."""

_A = ADDRESS.pattern

_BULLET = r"[\s>*\-•.|#\[]{0,12}(?:\d{1,3}[.)] )?"

_COMMENT = r"\s{0,4}(?:\([^)]{0,200}\)?\s{0,3})?"

_DATED = r"['\"]? (?:on|am|le|el|il|em|a|op|den|dnia|dne|в|от) (?=\w{3},? \d|\d)"

_AFTER = (
    rf"(?:\s?: |\s?:$|\.\.\. ?|\.\.|, | - |-- |\s{{2,}}|; |\t|{_DATED}"
    r"| (?=\[|(?:Invalid|Error|Unknown|User|Failed|Mailbox|Undeliver|[45]\d\d[ -])))"
)

ALONE = re.compile(
    rf"{_BULLET}[<\"'\[(]{{0,2}}({_A})[>\"'\])]{{0,2}}{_COMMENT}(?:[:;,.]|\.\.\.|[ -]{{1,9}})?\s{{0,5}}$"
)

LEADING = re.compile(
    rf"{_BULLET}(?:[^<>@:]{{0,60}}<({_A})>(?={_COMMENT}(?::|\.\.\.))|<({_A})>|['\"]?({_A})){_COMMENT}{_AFTER}(.{{0,500}})"
)

_IS_DATED = re.compile(_DATED)

REPLIED = re.compile(rf"\s{{0,6}}[45]\d\d[ -](?:[45]\.\d{{1,3}}\.\d{{1,3}} )?<?({_A})>?\.\.\. ?(.{{0,500}})")

_LABEL = re.compile(
    rf"(?:{_BULLET}(?:(?:final|original|failed|intended|invalid|unknown|bad|envelope|e-?mail|the)[ -])?"
    r"(?:recipients?|to|rcpt(?: to)?|user|addressees?|address|e-?mail|forward-path|mailbox|receiver|destinat\w{2,10}"
    r"|empf[äa]nger|an|para|pour|aan|delivery to|sent to|undelivered to|your message to)"
    r"(?: (?:address|name|e-?mail|list|is|was|of the message))?\s{0,6}(?::|=|->)|"
    rf"{_BULLET}(?:宛先|送信先|受信者|收件人|收信人|接收人|수신자|받는 ?사람)"
    r"(?:メール)?(?:アドレス|地址|邮箱)?\s{0,6}[:：]?"
    r")\s{0,10}"
    rf"(?:\"[^\"]{{0,80}}\" ?)?[<\"'\[]{{0,2}}(?:smtp:|mailto:)?({_A})",
    re.IGNORECASE,
)

_TOWARDS = re.compile(
    r"\b(?:bericht|nachricht\w{0,2}|messaggio|mensaje|mensagem|message|e-?mail|mail|courriel|wiadomo\w{1,4}|zpr[aá]v\w|meddelan\w{1,3}"
    r"|besked|письмо|сообщение)\b.{0,80}\b(?:a|à|al|aan|an|au|para|do|til|till|для|на|адрес\w{0,2})\b:? {1,2}[<\"']?$"
    r"|\b(?:deliver\w{0,5}|sent?|sending|mail|e-?mail|message|reach|forward\w{0,4}|addressed|recipients?|address)\b.{0,80}"
    r"\b(?:to|for|reach|address|recipient|user)\b(?:: {0,2}| {1,2})(?:\w{1,20} ){0,3}[<\"'\[(]{0,2}(?:mailto:)?$",
    re.IGNORECASE,
)

_NAMED = re.compile(rf"\s{{0,6}}[^\s<>@:()][^<>@:()]{{0,60}} \(({_A})\)\s{{0,5}}$")
"""A recipient's name, and its address in parentheses, on a line of their own."""

_ORIGIN = re.compile(rf"\b(?:generated|expanded|forwarded|redirected) from:? <?({_A})", re.IGNORECASE)

_NOT_RECIPIENT = any_of(
    r"\b(?:from|sent by|write to|sender|reply-to|return-path|errors-to|cc|message-id|contact|questions?|assistance"
    r"|help ?desk|support"
    r"|mailto:|administrator|forward (?:this|it)|send (?:an? )?(?:e-?mail|message) to)\b(?!.{0,20}(?:to|recipient))",
    r"(?:^|\s)id[:= ]",
)

_AUTHOR = re.compile(
    r"\b(?:sent by|message from|mail from|received(?: at .{1,60})? from)\s{0,4}:?\s{0,4}$", re.IGNORECASE
)
_BARE = re.compile(r"[\s*\->]{1,12}([A-Za-z0-9][\w.+-]{0,63})\s{0,4}$")

_INTRODUCES = re.compile(r"\b(?:recipients?|address(?:es|ees?)?|users?)\b.{0,160}:\s{0,4}$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Position:
    """An address in a report: its line number, and the text after it on that line."""

    address: str
    line: int
    rest: str


Reader = Callable[[str], list[tuple[str, str]]]


def find(lines: list[str], skipped: set[str], machines: bool) -> list[Position]:
    """Return the recipients in a report, without `skipped` (lower case) and, unless `machines`, mail systems."""
    for read in _READERS:
        recipients = [
            one
            for one in _collect(lines, read)
            if one.address.lower() not in skipped
            and (machines or not is_mail_system(one.address))
            and not _names_author(lines, one.line)
        ]
        if recipients:
            return recipients
    return []


def _names_author(lines: list[str], number: int) -> bool:
    """Whether the line above introduces an author, such as "A message sent by"."""
    above = next((line for line in reversed(lines[max(0, number - 2) : number]) if line.strip()), "")
    return _AUTHOR.search(above) is not None


def positions(lines: list[str]) -> dict[str, Position]:
    """Return the position of each address, by its lower-case form; the strongest one counts."""
    found: dict[str, Position] = {}
    for read in (*_READERS, _any):
        for one in _collect(lines, read):
            found.setdefault(one.address.lower(), one)
    return found


def bare(lines: list[str], domain: str) -> list[Position]:
    """Return recipients listed by local part only, below a line that announces them."""
    found: list[Position] = []
    announced = False
    for number, line in enumerate(lines):
        match = _BARE.match(line) if announced else None
        if match is not None:
            found.append(Position(f"{match[1]}@{domain}", number, ""))
        elif line.strip():
            announced = _INTRODUCES.search(line) is not None
    return found[:MAX_FOUND]


def _collect(lines: list[str], read: Reader) -> list[Position]:
    found: dict[str, Position] = {}
    candidates = [(number, line) for number, line in enumerate(lines) if "@" in line][:_MAX_CANDIDATES]
    for number, line in candidates:
        for address, rest in read(line):
            cleaned = clean_address(address)
            found.setdefault(cleaned.lower(), Position(cleaned, number, rest))
        if len(found) >= MAX_FOUND:
            break
    return list(found.values())


def _alone(line: str) -> list[tuple[str, str]]:
    match = ALONE.match(line)
    if match is not None and _is_whole(line, match):
        at = line.find("(")
        return [(match[1], line[at:].strip("() :") if at >= 0 else "")]

    match = REPLIED.match(line)
    if match is not None:
        return [(match[1], line.strip())]

    match = LEADING.match(line)
    if match is None:
        return []

    bracketed = match[1] or match[2]
    certain = bracketed or line.startswith((":", " :"), match.end(3)) or _IS_DATED.match(line, match.end(3))
    return [(bracketed or match[3], match[4])] if certain or FAILS.search(match[4]) else []


def _is_whole(line: str, found: re.Match[str]) -> bool:
    """Whether the address begins on this line: the end of one that was wrapped has its closing bracket only."""
    return not line.startswith(">", found.end(1)) or "<" in line[: found.start(1)]


def _labelled(line: str) -> list[tuple[str, str]]:
    match = _LABEL.match(line)
    return [] if match is None else [(match[1], line[match.end() :].lstrip("> "))]


def _named(line: str) -> list[tuple[str, str]]:
    match = _NAMED.match(line)
    return [] if match is None else [(match[1], "")]


def _towards(line: str) -> list[tuple[str, str]]:
    for found in islice(ADDRESS.finditer(line), _MAX_IN_LINE):
        before = line[max(0, found.start() - 160) : found.start()]
        if _TOWARDS.search(before) is not None and _NOT_RECIPIENT.search(before) is None:
            return [(found[0], line)]
    return []


def _in_sentence(line: str) -> list[tuple[str, str]]:
    if FAILS.search(line) is None or _NOT_RECIPIENT.search(line) is not None:
        return []
    return [(found[0], line) for found in islice(ADDRESS.finditer(line), _MAX_IN_LINE)]


def _origin(line: str) -> list[tuple[str, str]]:
    match = _ORIGIN.search(line)
    return [] if match is None else [(match[1], "")]


def _any(line: str) -> list[tuple[str, str]]:
    return [(found[0], line[found.end() :].lstrip("> :")) for found in islice(ADDRESS.finditer(line), _MAX_IN_LINE)]


_READERS: tuple[Reader, ...] = (_alone, _labelled, _named, _towards, _in_sentence, _origin)
