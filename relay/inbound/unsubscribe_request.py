"""Finds the request to be unsubscribed in a mail that a person wrote. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from relay.dsn.auto_reply import unquoted
from relay.inbound.unsubscribe_request_sentences import LISTS, OWN, POLITE, REMOVALS
from relay.inbound.unsubscribe_request_words import (
    CJK_FILLERS,
    CLOSINGS,
    DEVICE_LINE,
    GREETINGS,
    REASONS,
    REQUESTS,
    SINGLE_WORDS,
    VOCABULARY,
)
from relay.mail.subject import base_subject, is_forwarded
from relay.mail.unsubscribe_words import UNSUBSCRIBE

_MAX_SENTENCE = 160
"""Maximum characters of a sentence that can be a request."""

_MAX_SENTENCES = 12
"""Maximum number of sentences of a mail that is only a request."""

_MAX_NAMES = 4
"""Maximum number of words beside a greeting or closing, and in a signature."""

_SENTENCE_END = re.compile(r"[\n.!?;…。！？；।]+")

_CLAUSE_END = re.compile(r"[,،、，]| [-–—] ")
"""What ends a clause in a sentence."""

_PUNCTUATION = re.compile(
    r"[\s,:¿¡'’`\"„“”«»()<>*_/، 、，：·|\[\]\u200b-\u200f\u2060\u2190-\u2bff\ufe0f\ufeff\U0001f000-\U0001faff-]+"
)
"""Blanks, marks, invisible characters and emoji."""

_ADDRESS = re.compile(r"(?<![^\s<>\"'(),;:@])[^\s<>\"'(),;:@]++@[^\s<>\"'(),;:]+")
"""It is tried where a word begins only: else a long word without an @ takes quadratic time."""

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_QUOTED = re.compile(r"\s*(?:>|\|)")

_ATTRIBUTION_START = re.compile(r"(?:On|Am|Le|El|Il|Em|Op|Den|Dne|Pada|W dniu|Dnia)\b.{0,100}\d")
"""The first line of an attribution that a mail program wrapped: "On Mon, 30 Nov 2026, Acme"."""


@dataclass(frozen=True, slots=True)
class UnsubscribeRequest:
    """A request to be unsubscribed."""

    bare: bool
    """The mail has no other text, like one made by a mail program's unsubscribe button: it need not be read."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The message that a mail answers."""

    subject: str = ""
    """Decoded. Repeating it is no request."""
    is_campaign: bool = False
    """Whether it is campaign mail: then a word such as "stop" is a request. Else it may be about something else."""
    recipient: str = ""
    """The address that it went to: naming it says no more than "me"."""


def find_unsubscribe_request(
    subject: str, text: str, answered: Answered, author: str = ""
) -> UnsubscribeRequest | None:
    """Return the request in a mail's decoded subject or in what was written above the quotation, else None.

    It is the subject or the first line, or the whole text except for greetings, courtesies and names. `author` is the
    decoded From, whose names may be the signature.
    """
    text = _with_own_address_as_me(text, (answered.recipient, author))
    written = _written(text)
    sentences = _sentences(written)
    wanted = base_subject(subject)
    is_new = bare_subject(subject) != bare_subject(answered.subject) and not is_forwarded(subject)

    by_subject = is_new and (
        _asks(wanted) or (answered.is_campaign and not sentences and _words(wanted) in SINGLE_WORDS)
    )
    is_whole = _is_whole(sentences, answered, author)
    if not (by_subject or is_whole or _asks(_first_line(text))):
        return None
    return UnsubscribeRequest(bare=is_whole or all(_asks(one) or _is_courtesy(one) for one in sentences))


def bare_subject(subject: str) -> str:
    """Return the words of a subject for comparison, without reply prefixes."""
    return _words(base_subject(subject))


def _with_own_address_as_me(text: str, named: Sequence[str]) -> str:
    """Return the text with "me" for the addresses that are in `named`; those of other people stay."""
    own = {address.lower() for one in named for address in _ADDRESS.findall(one)}
    return (
        _ADDRESS.sub(lambda found: " me " if found[0].lower().rstrip(".!") in own else found[0], text) if own else text
    )


def _first_line(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return "" if _QUOTED.match(first) else first


def _written(text: str) -> str:
    """Return what was written above the quotation, without lines that a program added."""
    lines = [line.strip() for line in unquoted(text).splitlines() if line.strip() and _QUOTED.match(line) is None]
    if lines and _ATTRIBUTION_START.match(lines[-1]):
        lines.pop()
    return "\n".join(line for line in lines if _device_line().fullmatch(line.lower()) is None)


def _sentences(written: str) -> list[str]:
    return [one.strip() for one in _SENTENCE_END.split(written) if _words(one)]


def _is_whole(sentences: Sequence[str], answered: Answered, author: str) -> bool:
    """Whether the text is one request, perhaps repeated, with nothing else but greetings, courtesies and names."""
    if not 0 < len(sentences) <= _MAX_SENTENCES:
        return False
    asked = [number for number, one in enumerate(sentences) if _asks(one)]
    single = [number for number, one in enumerate(sentences) if _is_single_word(one)] if answered.is_campaign else []
    if not (asked or single):
        return False

    first = min(asked + single)
    names = frozenset(_words(author).split())
    return all(
        number in asked
        or number in single
        or _is_courtesy(one)
        or (number > first and _is_signature(one, names if single and not asked else None))
        for number, one in enumerate(sentences)
    )


def _asks(sentence: str) -> bool:
    """Whether a sentence, or a line, has an expression that asks for it and else only words that may be beside it."""
    if len(sentence) > _MAX_SENTENCE:
        return False
    words = _words(_without_courtesies(sentence))
    words = _reasons().sub(" ", words)
    rest, count = _requests().subn(" ", words)
    if not count:
        rest, count = _removals().subn(" ", words)
        if not count or _lists().search(words) is None or _own().search(words) is None:
            return False
        rest = _lists().sub(" ", rest)
    if _CJK.search(rest):
        rest = _cjk_fillers().sub(" ", rest)
    return all(word in VOCABULARY for word in rest.split())


def _without_courtesies(sentence: str) -> str:
    """Return a sentence without a greeting before its first comma, and without thanks and a name after a later one."""
    clauses = _CLAUSE_END.split(sentence)
    if len(clauses) > 1 and _is_courtesy(clauses[0]):
        clauses = clauses[1:]
    closing = next((number for number, one in enumerate(clauses) if number and _is_courtesy(one)), len(clauses))
    is_end = all(_is_courtesy(one) or _is_signature(one, None) for one in clauses[closing:])
    return ",".join(clauses[:closing] if is_end else clauses)


def _is_single_word(sentence: str) -> bool:
    """Whether a sentence is one of the words that ask for it in answer to campaign mail, perhaps with "please"."""
    words = _words(sentence)
    if words in SINGLE_WORDS:
        return True
    if len(words) > _MAX_SENTENCE:
        return False
    rest = [word for word in words.split() if word not in _COURTESY_WORDS]
    return len(set(rest)) == 1 and rest[0] in SINGLE_WORDS


_COURTESIES = """
    please pls plz kindly thanks thank you bitte danke merci svp s il vous te plaît plait sie das bitten por
    favor gracias obrigado grazie per favore aub graag bedankt proszę dziękuję пожалуйста спасибо lütfen hi
    hello now it all करें करो করুন 请 谢谢
"""

_COURTESY_WORDS = frozenset(_COURTESIES.split())

_AND = frozenset(
    ("and", "und", "et", "y", "e", "en", "i", "и", "och", "og", "ja", "ve", "a", "és", "și", "та", "і", "&")
)
"""Words between two courtesies: "grazie e cordiali saluti"."""


def _is_courtesy(sentence: str) -> bool:
    """Whether a sentence is a greeting or closing, with at most some names."""
    words = _words(sentence)
    found = _courtesy().match(words)
    if found is None:
        return False
    rest = _spelled(sentence)[len(words[: found.end()].split()) :]
    if rest[:1] and rest[0].lower() in _AND and _courtesy().match(" ".join(rest[1:]).lower()):
        return _is_courtesy(" ".join(rest[1:]))
    return len(rest) <= _MAX_NAMES and all(_is_name(word) or word.lower() in VOCABULARY for word in rest)


def _is_signature(sentence: str, names: frozenset[str] | None) -> bool:
    """Whether a sentence is only names: those of the author if `names` are given, else any."""
    words = _spelled(sentence)
    if not 0 < len(words) <= _MAX_NAMES:
        return False
    if names is not None and _CJK.search(sentence) is None:
        return all(word.lower() in names for word in words)
    return all(map(_is_name, words))


def _is_name(word: str) -> bool:
    return word.isalpha() and not word.islower()


def _spelled(sentence: str) -> list[str]:
    """Return the words of a sentence in their own case."""
    return _PUNCTUATION.sub(" ", sentence).split()


def _words(sentence: str) -> str:
    """Return the words of a sentence for comparison."""
    bounded = _SENTENCE_END.sub(" ", sentence[: 4 * _MAX_SENTENCE])
    return " ".join(_PUNCTUATION.sub(" ", bounded).lower().replace("i\u0307", "i").split())


@cache
def _requests() -> re.Pattern[str]:
    return re.compile("|".join((*UNSUBSCRIBE, *POLITE, *REQUESTS)))


@cache
def _removals() -> re.Pattern[str]:
    return re.compile("|".join(REMOVALS))


@cache
def _own() -> re.Pattern[str]:
    return re.compile(OWN)


@cache
def _lists() -> re.Pattern[str]:
    return re.compile(LISTS)


@cache
def _reasons() -> re.Pattern[str]:
    return re.compile(REASONS)


@cache
def _cjk_fillers() -> re.Pattern[str]:
    return re.compile(CJK_FILLERS)


@cache
def _courtesy() -> re.Pattern[str]:
    return re.compile(rf"(?:{GREETINGS}|{CLOSINGS})(?= |\Z)")


@cache
def _device_line() -> re.Pattern[str]:
    return re.compile(DEVICE_LINE)
