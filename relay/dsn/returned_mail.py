"""Splits returned mail into the report's text, its parts, and the returned message."""

import re
from dataclasses import dataclass
from functools import cached_property

from relay.dsn.mime_parts import Header, Part, is_closed, normal_lines, read_header, walk
from relay.dsn.report_wordings import DAEMON, FAILURE_SUBJECT, SYSTEM, any_of
from relay.dsn.text_report import TextReport, parse_text_report
from relay.mail.subject import is_answer

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
    """Split a text into the report and the returned message, "" if there is none."""
    lines = text.split("\n")[:_MAX_LINES]
    for number, line in enumerate(lines):
        if number and _SEPARATOR.match(line[:300]) is not None:
            return "\n".join(lines[:number]), "\n".join(lines[number:])
    return "\n".join(lines), ""


def returned_header(parts: list[Part], trailing: str) -> Header:
    """Return the header of the returned message, from its part, else from the text after the report."""
    for part in parts:
        if part.media_type in RETURNED_TYPES:
            header = read_header(normal_lines(part.decoded()[:300_000]))
            if len(header):
                return header
    return _header_in(trailing)


def _header_in(text: str) -> Header:
    """Collect the first run of header lines in a text; another line ends it."""
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


_LIST_FIELDS = ("list-id", "list-unsubscribe", "list-post")

_MIN_TEXT = 40
"""Characters below which a plain text is treated as empty and the HTML part is used."""


@dataclass(frozen=True)
class Received:
    """One returned mail. `text` is for people; `trailing` is the returned message if it follows in the text."""

    header: Header
    parts: list[Part]
    text: str
    trailing: str
    returned: Header
    is_open: bool = False
    """Whether the mail ends early: its closing delimiter (RFC 2046 section 5.1.1) or last line end is missing."""
    breaks_off: bool = False
    """Whether it ends within a line, which is then ignored."""

    @cached_property
    def prose(self) -> TextReport:
        """The parsed text."""
        return parse_text_report(self.text)

    @cached_property
    def subject(self) -> str:
        """The decoded subject, its first 300 characters."""
        return self.header.text("subject")[:300]

    @cached_property
    def author(self) -> str:
        """The decoded From, else the return-path, its first 300 characters."""
        return (self.header.text("from") or self.header.get("return-path"))[:300]

    @property
    def is_nameless(self) -> bool:
        """Whether the From is the null address, as some mail systems write it."""
        return self.header.get("from").strip().endswith("<>")

    @property
    def from_daemon(self) -> bool:
        """Whether the author is certainly a mail system."""
        return DAEMON.search(self.author) is not None

    @property
    def has_null_path(self) -> bool:
        """Whether it came with the null reverse-path, as reports must (RFC 5321 section 4.5.5)."""
        return self.header.get("return-path").strip() == "<>"

    @property
    def is_list_mail(self) -> bool:
        """Whether a list or a newsletter sent it, not a mail system (RFC 2369, RFC 2919)."""
        return not self.has_null_path and any(name in self.header for name in _LIST_FIELDS)

    @property
    def is_answer(self) -> bool:
        """Whether its subject is one of an answer or of forwarded mail, without the null reverse-path."""
        return not self.has_null_path and is_answer(self.subject)

    @property
    def from_system(self) -> bool:
        """Whether a mail system may have written it: by its name or its null reverse-path."""
        if self.has_null_path or "x-failed-recipients" in self.header:
            return True
        return not self.author or SYSTEM.search(self.author) is not None

    @property
    def subject_names_failure(self) -> bool:
        """Whether the subject is one of a failure report."""
        return FAILURE_SUBJECT.search(self.subject) is not None

    @property
    def returns_message(self) -> bool:
        """Whether a message is returned with it."""
        return bool(self.trailing.strip()) or any(part.media_type in RETURNED_TYPES for part in self.parts)

    @property
    def returns_report(self) -> bool:
        """Whether the returned message is a report itself: its reader is no recipient that failed."""
        of_report = "delivery-status" in self.returned.get("content-type").lower()
        return of_report or DAEMON.search(self.returned.text("from")) is not None

    def parts_of(self, *names: str) -> list[Part]:
        """Return the parts whose media type contains one of the names."""
        return [part for part in self.parts if any(name in part.media_type for name in names)]


def read(content: bytes) -> Received:
    """Split a raw mail; linear in its first MAX_CONTENT octets."""
    mail = normal_lines(content)
    unfinished = not mail.endswith(b"\r\n")
    mail = mail[: mail.rfind(b"\n") + 1] if unfinished else mail
    parts = walk(mail)
    text, trailing = split_report(_without_signature(_text_for_people(parts)))
    header = read_header(mail)
    closed = is_closed(mail, header)
    reports_last = parts[-1].media_type not in RETURNED_TYPES and not (closed and trailing.strip())
    is_open = reports_last and (unfinished or not closed)
    returned = returned_header(parts, trailing)
    return Received(header, parts, text, trailing, returned, is_open, reports_last and unfinished)


def _without_signature(text: str) -> str:
    """Remove the signature of a text (RFC 3676 section 4.3), in which gateways add footers."""
    words = text.partition("\n-- \n")[0]
    return words if words.strip() else text


def _text_for_people(parts: list[Part]) -> str:
    """Join the text parts before the returned message; later ones are footers, unless none comes first."""
    before: list[Part] = []
    for part in parts:
        if part.media_type in RETURNED_TYPES:
            if before:
                break
        elif part.media_type.startswith("text/"):
            before.append(part)
    plain = "\n".join(part.text() for part in before if part.media_type != "text/html")
    if len(plain.strip()) > _MIN_TEXT:
        return plain
    return "\n".join([plain, *(part.text() for part in before if part.media_type == "text/html")])
