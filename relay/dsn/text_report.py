"""Parses failure reports without machine-readable fields: qmail, Exim, old Sendmail, gateways, appliances.

They follow conventions: the reply stands beside the recipient, below it, or in a transcript of the session.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from relay.dsn import text_recipients
from relay.dsn.reply_parts import phase_of, smtp_code, status_in
from relay.dsn.report import Action, Recipient
from relay.dsn.report_wordings import DELAY, FAILURE, GIVEN_UP, WARNING
from relay.dsn.text_recipients import Position

_MAX_LINES = 400

_MAX_LINE = 600

_MAX_DIAGNOSTIC = 1500

_MAX_REPLIES = 60

_BLOCK_LINES = 14

_QUOTES = re.compile(
    r"\b(?:error|response|reply|message)(?: that| from)?(?: the)?(?: other| remote| destination| recipient){0,2}"
    r"(?: server| host| system)?(?: returned| sent)? was:",
    re.IGNORECASE,
)

_REPLY = re.compile(
    r"\s{0,6}(?:<<<|-{1,2}>?|<--|[*•]|Out:|Response:|Remote (?:host|server) (?:said|replied|responded)"
    r"|.{0,60}\b(?:said|reply|response|responded)\b.{0,20}:)?\s{0,4}[<\"']?([45]\d\d[ \-#].{0,400})",
    re.IGNORECASE,
)

_RULE = re.compile(r"-{3,}")


@dataclass(frozen=True, slots=True)
class _Reply:
    """A failure reply in a transcript, and its surrounding lines in lower case."""

    words: str
    around: str


@dataclass(frozen=True)
class TextReport:
    """The lines of a report, and the failure replies in them."""

    lines: list[str]
    replies: list[_Reply]

    @cached_property
    def _positions(self) -> dict[str, Position]:
        return text_recipients.positions(self.lines)

    @cached_property
    def _list_lines(self) -> set[int]:
        """Lines that begin with an address, as in a list of recipients; continuation lines are indented."""
        begun = ((number, line) for number, line in enumerate(self.lines) if "@" in line and not line[:1].isspace())
        return {
            number
            for number, line in islice(begun, text_recipients.MAX_FOUND)
            if text_recipients.ALONE.match(line) or text_recipients.LEADING.match(line)
        }

    def recipients(
        self, named: Iterable[str], excluded: Iterable[str], action: Action, machines: bool = False
    ) -> tuple[Recipient, ...]:
        """Return the recipients named in the report, each with its words.

        `named` are recipients of a header field (X-Failed-Recipients): if the report mentions them, only they count.

        `excluded` are addresses mentioned for another reason, such as author and reader. Addresses of mail systems
        (postmaster) are excluded too, unless `machines`.
        """
        found = text_recipients.find(self.lines, {address.lower() for address in excluded if address}, machines)
        wanted = [address for address in named if "@" in address]
        if wanted and (not found or any(address.lower() in self._positions for address in wanted)):
            found = [self._positions.get(address.lower(), Position(address, -1, "")) for address in wanted]
        starts = {one.line for one in found}
        return tuple(self._recipient(one, starts, action) for one in found[: text_recipients.MAX_FOUND])

    def bare_recipients(self, domain: str, action: Action) -> tuple[Recipient, ...]:
        """Return recipients that the report lists by local part only."""
        found = text_recipients.bare(self.lines, domain) if domain else []
        return tuple(self._recipient(one, set(), action) for one in found)

    def about(self, address: str, action: Action) -> Recipient:
        """Return a recipient not named in the report, with the words of the whole report."""
        return self._recipient(Position(address, -1, ""), set(), action)

    def words_about(self, address: str) -> str:
        """Return the words about one recipient; "" if there are none."""
        position = self._positions.get(address.lower())
        own = "" if position is None else self._own_words(position, self._list_lines)
        transcript = self._transcript(address)
        if transcript is None or smtp_code(own) is not None:
            return own
        return f"{own} {transcript.words}".strip()

    def _recipient(self, one: Position, starts: set[int], action: Action) -> Recipient:
        diagnostic, status = self._diagnostic(one, starts)
        code = smtp_code(diagnostic)
        return Recipient(one.address, action, status_in(diagnostic) or status, code, diagnostic, phase_of(diagnostic))

    def _diagnostic(self, one: Position, starts: set[int]) -> tuple[str, str]:
        """Return the words about a recipient, and the status of its transcript.

        They are its own words, with its reply if they lack a code, or with the whole report if they name no reason.
        """
        own = self._own_words(one, starts)
        own_reply = self._transcript(one.address)
        reply = own_reply or (self.replies[0] if self.replies else None)
        has_reason = bool(smtp_code(own) or FAILURE.search(own))
        diagnostic = own
        if (
            reply is not None
            and not (smtp_code(own) or status_in(own))
            and (own_reply or len(starts) < 2 or not has_reason)
        ):
            diagnostic = f"{own} {reply.words}".strip()
        elif reply is None and not has_reason:
            diagnostic = f"{own} {self._whole()}".strip()
        return _quoted_reply(diagnostic)[:_MAX_DIAGNOSTIC], status_in(own_reply.words) if own_reply else ""

    def _own_words(self, one: Position, starts: set[int]) -> str:
        """Return the words beside an address and the lines below, up to an empty line or the next recipient."""
        if one.line < 0:
            return ""
        if text_recipients.REPLIED.match(one.rest):
            return " ".join([*_line_above(self.lines, one.line), one.rest])[:_MAX_DIAGNOSTIC]

        words = [one.rest] if one.rest else []
        gap = False
        for number, line in enumerate(self.lines[one.line + 1 : one.line + 1 + _BLOCK_LINES], one.line + 1):
            text = line.strip()
            if number in starts or _RULE.match(text) or (not text and words):
                break
            if not text:
                gap = True
                continue
            if gap and not words and (text.endswith(":") or FAILURE.search(text) is None):
                break
            words.append(text)

        return " ".join(words)[:_MAX_DIAGNOSTIC]

    def _transcript(self, address: str) -> _Reply | None:
        """Return the reply to the command that named the address."""
        low = address.lower()
        return next((reply for reply in self.replies if low in reply.around), None)

    def _whole(self) -> str:
        return " ".join(line.strip() for line in self.lines if line.strip())[:_MAX_DIAGNOSTIC]


def parse_text_report(text: str) -> TextReport:
    """Parse the text of a report."""
    lines = [line[:_MAX_LINE] for line in text.split("\n")[:_MAX_LINES]]
    replies: list[_Reply] = []
    for number, line in enumerate(lines):
        match = _REPLY.match(line)
        if match is not None and len(replies) < _MAX_REPLIES:
            before = _line_above(lines, number) if text_recipients.REPLIED.match(line) else []
            words = " ".join([*before, match[1], *_continued(lines, number)])
            replies.append(_Reply(words, " ".join([*lines[max(0, number - 2) : number + 1], words]).lower()))
    return TextReport(lines, replies)


def has_evidence(text: str) -> bool:
    """Whether a text states that mail was not delivered."""
    return FAILURE.search(text[:6000]) is not None


def is_delay(subject: str, text: str) -> bool:
    """Whether a report is a warning about a delay, not a failure."""
    head = f"{subject}\n{text[:4000]}"
    if DELAY.search(subject) is not None and GIVEN_UP.search(subject) is None:
        return True
    return WARNING.search(head) is not None or (DELAY.search(head) is not None and GIVEN_UP.search(head) is None)


def has_given_up(text: str) -> bool:
    """Whether a report states that delivery failed permanently."""
    return GIVEN_UP.search(text[:4000]) is not None


def _quoted_reply(words: str) -> str:
    """Return the reply that a report quotes after its explanations, else all words."""
    mark = _QUOTES.search(words)
    quoted = words[mark.end() :].strip() if mark is not None else ""
    return quoted if len(quoted) > 8 else words


def _line_above(lines: list[str], number: int) -> list[str]:
    """Return the line above: Sendmail prints the other host's reply above its summary of the recipient."""
    above = lines[number - 1].strip() if number else ""
    names_another = any(
        form.match(above) for form in (text_recipients.REPLIED, text_recipients.LEADING, text_recipients.ALONE)
    )
    if not above or names_another or above.startswith((">>>", "...", "---")):
        return []
    return [above.removeprefix("<<<").strip()]


def _continued(lines: list[str], number: int) -> list[str]:
    rest: list[str] = []
    for line in lines[number + 1 : number + 5]:
        if not line.strip() or line.startswith(">>>") or text_recipients.LEADING.match(line) is not None:
            break
        rest.append(line.strip())
    return rest
