"""The words of the simulator: local parts, and what its receiver does with mail to them. Pure."""

import re
from collections.abc import Mapping
from typing import Literal

from relay.frozen import dataclass
from relay.mail.canonical_address import domain_of
from relay.mail.reply import Reply

SES_DOMAIN = "simulator.amazonses.com"
"""Domain of the simulator of SES. Its words are answered here in sandbox mail only."""

SANDBOX = "sandbox"
"""Word of the lane of recipients whose local part is no word."""

CODE = "code"
"""Word of the lane of `code-<reply code>-<enhanced status>`."""

GREYLISTED = 60.0
"""Seconds from the first attempt until the receiver accepts mail to `greylist`."""

RATE_LIMITED = 300.0
"""Seconds from the first attempt until the receiver accepts mail to `ratelimit`."""

SLOW = 30.0
"""Seconds until the reply to the final dot of mail to `slow`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply to RCPT, or to the final dot."""

    reply: Reply
    at_dot: bool = False


@dataclass(frozen=True, slots=True)
class AnswerUntil:
    """A reply to RCPT until so many seconds after the first attempt; then 250. The connection closes after a 421."""

    reply: Reply
    seconds: float


@dataclass(frozen=True, slots=True)
class Slow:
    """250 to the final dot, so many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is closed at DATA, or after the final dot without a reply."""

    after_dot: bool


@dataclass(frozen=True, slots=True)
class BreakTls:
    """STARTTLS is offered, and its handshake fails. The relay requires TLS for this lane."""


Reaction = Literal["late-bounce", "ooto", "reply", "complaint", "open", "click", "unsubscribe", "scanner", "mpp"]
"""What follows an accepted mail."""


@dataclass(frozen=True, slots=True)
class React:
    """250, and later a reaction."""

    reaction: Reaction


@dataclass(frozen=True, slots=True)
class Suppressed:
    """The address is on the suppression list for good. Mail that ignores the lists gets 250."""


Behaviour = Answer | AnswerUntil | Slow | Close | BreakTls | React | Suppressed

ACCEPTED = Reply(250, "2.0.0", "Ok: simulated")
"""Reply to the final dot of simulated mail."""

SANDBOXED = Reply(250, "2.0.0", "Sandbox")
"""Reply to the final dot of sandbox mail to any other domain."""

_ACCEPT = Answer(ACCEPTED, at_dot=True)

_HARD = Answer(Reply(550, "5.1.1", "User unknown: the mailbox does not exist"))

_WORDS: Mapping[str, Behaviour] = {
    "delivered": _ACCEPT,
    "success": _ACCEPT,
    "hard": _HARD,
    "bounce": _HARD,
    "full": Answer(Reply(452, "4.2.2", "Mailbox full: the user is over quota")),
    "blocked": Answer(
        Reply(550, "5.7.1", "Service unavailable; client host blocked using zen.spamhaus.org, listed by the blocklist")
    ),
    "policy": Answer(Reply(550, "5.7.1", "Message rejected due to local policy"), at_dot=True),
    "spam": Answer(Reply(550, "5.7.1", "Message rejected as spam by the content filter"), at_dot=True),
    "auth": Answer(
        Reply(550, "5.7.26", "Unauthenticated email is not accepted: DMARC policy of the domain"), at_dot=True
    ),
    "toolarge": Answer(Reply(552, "5.3.4", "Message size exceeds fixed limit")),
    "greylist": AnswerUntil(Reply(451, "4.7.1", "Greylisted, please try again later"), GREYLISTED),
    "ratelimit": AnswerUntil(
        Reply(421, "4.7.28", "Too many messages: rate limit exceeded, try again later"), RATE_LIMITED
    ),
    "slow": Slow(SLOW),
    "drop": Close(after_dot=False),
    "tls": BreakTls(),
    "uncertain": Close(after_dot=True),
    "late-bounce": React("late-bounce"),
    "ooto": React("ooto"),
    "reply": React("reply"),
    "complaint": React("complaint"),
    "open": React("open"),
    "click": React("click"),
    "unsubscribe": React("unsubscribe"),
    "scanner": React("scanner"),
    "mpp": React("mpp"),
    "suppressed": Suppressed(),
    "suppressionlist": Suppressed(),
}

WORDS = (*_WORDS, "code-<reply code>-<enhanced status>")
"""All words, for people."""

_CODE = re.compile(r"code-([245]\d\d)-([245]\.\d{1,3}\.\d{1,3})")

_UNKNOWN = Answer(Reply(550, "5.1.1", "No such user: the local part is no word of the simulator"))


@dataclass(frozen=True, slots=True)
class Simulator:
    """The domains whose mail the simulator answers, by their words."""

    domain: str
    """Domain of the configuration, "" for none."""

    def answers(self, address: str, *, sandbox: bool = False) -> bool:
        """Whether a recipient is one of the simulator. That of SES is one in sandbox mail only."""
        if not (self.domain or sandbox):
            return False
        domain = domain_of(address)
        return bool(domain) and (domain == self.domain or (sandbox and domain == SES_DOMAIN))

    def behaviour(self, address: str) -> Behaviour:
        """Return what the receiver does with mail to this address, which is simulated."""
        if not self.answers(address, sandbox=True):
            return Answer(SANDBOXED, at_dot=True)
        return behaviour_of(_base(address))

    def is_suppressed(self, address: str, *, sandbox: bool) -> bool:
        """Whether an address is one that is suppressed for good."""
        return self.answers(address, sandbox=sandbox) and isinstance(behaviour_of(_base(address)), Suppressed)

    def always_answers(self, address: str) -> bool:
        """Whether no list excludes the address: a word alone always answers. With `+text` it is as any other."""
        local = address.rpartition("@")[0]
        return self.answers(address, sandbox=True) and "+" not in local


NO_SIMULATOR = Simulator("")


def behaviour_of(word: str) -> Behaviour:
    """Return the behaviour of a word: a refusal that lists the words for an unknown one."""
    if (found := _WORDS.get(word)) is not None:
        return found
    code = _CODE.fullmatch(word)
    if code is None or code[1][0] != code[2][0]:
        return _UNKNOWN
    number, status = int(code[1]), code[2]
    return Answer(Reply(number, status, "Reply that the address asks for"), at_dot=number < 300)


def word_in(address: str) -> str:
    """Return the word in a local part, "sandbox" for one without a word: the lane of simulated mail."""
    base = _base(address)
    if base in _WORDS:
        return base
    return CODE if _CODE.fullmatch(base) else SANDBOX


def _base(address: str) -> str:
    return address.rpartition("@")[0].partition("+")[0].lower()
