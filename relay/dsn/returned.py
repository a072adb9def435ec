"""Where a report ends and the message it returns begins, and the header of that message. Its body is never read."""

import re

from relay.dsn.parts import Header, Part, normal_lines, read_header
from relay.dsn.vocabulary import any_of

RETURNED_TYPES = frozenset(
    (
        "message/rfc822",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "text/rfc822-header",
        "text/rfc822",
        "message/global",
        "message/global-headers",
        "message/partial",
    )
)

_RULED = (
    r"(?:this is |below(?: this line)? is |here is |the following is )?(?:a |the )?(?:copy of |headers? (?:of|from) )?"
    r"(?:(?:the|your|original|returned) ){0,3}(?:message|mail|e-?mail|headers?)(?: ?(?:copy|headers?|text|body|follows?"
    r"|is|following|begins|starts|here|as received|included|below|of|the|original|enclosed|unsent|returned)){0,6}",
    r"(?:original|unsent|returned|undelivered|undeliverable|bounced|forwarded|rejected|failed) "
    r"(?:message|mail|e-?mail|content|headers?)\b.{0,60}",
    r"below this line is .{0,60}|this is a copy of .{0,80}|copy of (?:the |your )?.{0,60}",
    r"start of (?:returned|original|forwarded|the).{0,60}",
    r"(?:the )?headers? of .{0,60}|message (?:text|header|content).{0,60}",
    r"urspr.{1,2}ngliche nachricht.{0,40}|mensaje original.{0,40}|message d'origine.{0,40}",
)
_PLAIN = (
    r"(?:the |your )?(?:original|returned|undelivered|unsent|failed) message(?: (?:headers?|text))?(?: (?:is|was))? ?"
    r"(?:follows|attached below|included below|headers follow|begins here)[ .:]{0,4}",
    r"(?:the )?(?:first|start|beginning|text|header|content|following is a copy|copy)s?\b(?: \d{1,4} \w{1,10})? of "
    r"(?:your|the) (?:original |returned |undelivered |rejected )?(?:message|mail)\b.{0,20}[:.]?",
    r"(?:your |the )?(?:message|mail) (?:headers?|text) (?:follows?|is|are)\b.{0,20}:?|original message:",
    r"received:? from .{0,200}|received:from .{0,200}|return-path:.{0,200}|mime-version: 1\.0.{0,60}",
)
_SEPARATOR = any_of(
    rf"[ \t>*#]{{0,8}}[-=_*]{{2,80}}[ \t]{{0,8}}(?:{'|'.join(_RULED)})[.: ]{{0,3}}[-=_*]{{0,80}}[ \t]{{0,8}}$",
    rf"[ \t]{{0,8}}(?:{'|'.join(_PLAIN)})[ \t]{{0,8}}$",
)
_HEADER_LINE = re.compile(r"[>| \t]{0,4}([A-Za-z][A-Za-z0-9-]{1,60}):(?: |\t|$)(.{0,2000})")
_MAX_LINES = 4000


def split_report(text: str) -> tuple[str, str]:
    """Return the report's own words and what follows them: the returned message, "" when there is none."""
    lines = text.split("\n")[:_MAX_LINES]
    for number, line in enumerate(lines):
        if number and _SEPARATOR.match(line[:300]) is not None:
            return "\n".join(lines[:number]), "\n".join(lines[number:])
    return "\n".join(lines), ""


def returned_header(parts: list[Part], trailing: str) -> Header:
    """Return the header of the returned message: of its part, else of the text that trails the report."""
    for part in parts:
        if part.media_type in RETURNED_TYPES:
            header = read_header(normal_lines(part.decoded()[:300_000]))
            if len(header):
                return header
    return _header_in(trailing)


def _header_in(text: str) -> Header:
    """Collect the first run of header lines in a text; a line that is none ends it once it has begun."""
    pairs: list[tuple[str, str]] = []
    for line in text.split("\n")[:400]:
        match = _HEADER_LINE.match(line)
        if match is not None:
            pairs.append((match[1].lower(), match[2].strip()))
        elif pairs and line[:1] in (" ", "\t") and line.strip() and len(pairs[-1][1]) < 4000:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {line.strip()}")
        elif len(pairs) > 2:
            break
    return Header(tuple(pairs[:300]))
