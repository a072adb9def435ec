"""Classifies the reply of a mail server by ordered rules; the first match decides."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relay.dsn.bounce_rules import Reply, Rules
from relay.dsn.categories import CATEGORIES
from relay.dsn.category import Category
from relay.dsn.reply_normal_form import normal_form
from relay.dsn.reply_parts import requested_delay, smtp_code, status_in
from relay.dsn.report import Recipient, Report

_MAILBOX = frozenset(("bad_mailbox", "mailbox_disabled", "recipient_refused"))
_EXCLUDED: Mapping[str, frozenset[str]] = {
    "connect": _MAILBOX,
    "ehlo": _MAILBOX | {"bad_domain"},
    "starttls": _MAILBOX | {"bad_domain"},
    "auth": _MAILBOX | {"bad_domain"},
    "mail": _MAILBOX | {"bad_domain"},
}
"""Categories excluded for a command before RCPT, when the recipient is not known (RFC 5321 section 3.3)."""

_NOT_OF_RECIPIENT = re.compile(r"[45]\.(?:1\.[78]|7\.(?:2[0-9]|5[0-9]{2}|6[0-9]{2}))")
"""Statuses about the sender's address or host and their authentication (RFC 3463, RFC 7372, Microsoft's 5.7.5xx)."""

_RECIPIENT = re.compile(r"recipient|rcpt|destinat|addressee|empf[äa]nger|收件人|宛先|получател")
"""Words that refer to the recipient; with PIPELINING some reports name the wrong command."""


@dataclass(frozen=True, slots=True)
class Classification:
    """Classification of a reply.

    `rule` is the rule that matched ("" for none), `wait` the seconds the reply asks to wait. `about` has the effects of
    the category (next step, suppression, lane). `rule_guidance` is that of the rule, "" for that of the category.
    """

    category: str
    rule: str
    wait: float | None = None
    rule_guidance: str = ""

    @property
    def about(self) -> Category:
        """The category with its actions and guidance."""
        return CATEGORIES[self.category]

    @property
    def guidance(self) -> str:
        """The title of the category and what to do, as one text."""
        return f"{self.about.title}. {self.rule_guidance}" if self.rule_guidance else guidance_text(self.about)


def classify(
    rules: Rules, text: str, code: int | None = None, status: str = "", phase: str = "", *, about_sender: bool = False
) -> Classification:
    """Classify a reply by its text, SMTP code, enhanced status and the command it answered.

    A missing code or status is taken from the text. Without a match the category is `unknown`. A reply that is
    `about_sender` is one to MAIL, whatever command it answered: some servers verify the sender at RCPT or DATA.
    """
    known = code if code is not None else smtp_code(text)
    digits = "" if known is None else str(known)
    enhanced = status or status_in(text)
    wording = normal_form(text)
    possible = rules.index.possible(wording.prose)
    phase = "mail" if about_sender else phase
    reply = Reply(wording, digits, enhanced, phase, possible)
    is_recipient_told = not about_sender and _RECIPIENT.search(wording.prose) is not None
    excluded = _excluded("" if is_recipient_told else phase, enhanced)
    for rule in rules.candidates(possible):
        if rule.category not in excluded and rule.matches(reply):
            return Classification(rule.category, rule.name, requested_delay(wording.prose), rule.guidance)
    return Classification("unknown", "", requested_delay(wording.prose))


def _excluded(phase: str, status: str) -> frozenset[str]:
    """Return the categories that a reply to this command, or one with this status, cannot have."""
    return _EXCLUDED["mail"] if _NOT_OF_RECIPIENT.fullmatch(status) else _EXCLUDED.get(phase, frozenset())


def guidance_text(about: Category) -> str:
    """Return the title of a category and its remedies as one text."""
    return " ".join((f"{about.title}.", *about.guidance))


def classify_recipient(rules: Rules, report: Report, recipient: Recipient) -> Classification:
    """Classify a recipient of a report by its diagnostic, else by the report's own text.

    A truncated text is not classified: its missing end may reverse the meaning.
    """
    if report.cut:
        return Classification("unknown", "")
    found = classify(rules, recipient.diagnostic, recipient.code, recipient.status, recipient.phase)
    if not _is_vague(found) or not report.text:
        return found
    from_text = classify(rules, report.text, recipient.code, recipient.status, recipient.phase)
    return found if _is_vague(from_text) or from_text.rule.startswith("words-") else from_text


def _is_vague(found: Classification) -> bool:
    return found.category == "unknown" or found.rule.startswith("code-")
