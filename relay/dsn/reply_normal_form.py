"""The normal form of a reply's text, against which the bounce rules match.

Addresses, hosts, IP addresses and links become tokens, because words within them say nothing about the refusal.
"""

import re
from dataclasses import dataclass

from relay.dsn.address_pattern import ADDRESS

MAX_TEXT = 2000
"""Characters of a reply that are matched. RFC 5321 allows lines of 512 octets; the meaning is in the first."""

_ADDRESS = re.compile(rf"<?{ADDRESS.pattern}>?")

_LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"'|]{1,500}", re.IGNORECASE)

_IP = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?!\d|\.\d)|(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])",
    re.IGNORECASE,
)

_HOST = re.compile(
    r"(?<![\w.@-])(?:[A-Za-z0-9_-]{1,63}\.){1,8}"
    r"(?:[a-z]{2}|[A-Z]{2}|com|net|org|info|edu|gov|biz|cloud|mail|email|local|test|example|invalid|COM|NET|ORG)"
    r"(?![\w-]|\.\w)(?:/[^\s<>\"']{1,300})?"
)

_HUMP = re.compile(r"(?<=[a-z]{2})(?=[A-Z][a-z]{2})")
"""Where a word of an identifier such as `RecipNotFound` begins."""

_CODE_AND_STATUS = re.compile(r"(?<![\w.])(?:[245]\d\d[ -]{1,3})?[#(\[]?[245]\.\d{1,3}\.\d{1,3}\b[)\]]?(?!\.\d)")

_CODE = re.compile(r"(?:(?<=^)|(?<=[\s'\"(:]))[45]\d\d(?:[ -]|$)")

_FRAMES = re.compile(
    r"\(in reply to [a-z ]{3,40}command\)"
    r"|(?:host )?<host> ?\[<ip>\](?::\d{1,5})? said:"
    r"|smtp error from remote mail server after (?:pipelined )?[a-z ]{3,30}:?(?:<@>)?(?: size=\d{1,12})?:"
    r"(?: host <host> \[<ip>\]:)?"
    r"|remote (?:host|server|mta) (?:said:|returned)"
    r"|(?:^|(?<=[.;,!]))\s?(?:(?:so |and |therefore )?(?:(?:the|this|your) )?(?:message|mail|email|letter|it)"
    r" (?:(?:was|is|has been|is being|will be) )?(?:returned|sent back) to (?:the |its )?sender"
    r"|(?:please )?(?:contact|inform|notify) the sender(?: of (?:the|this) (?:message|mail))?"
    r"(?: by [a-z]{3,9}| directly)?)"
    r"(?=[.!]?\s*$|[.!]\s)"
)
"""Words that a sending server puts around a reply.

What happened to the sender's mail is taken off as a sentence that says nothing else: "callback to sender failed" and
"could not be returned to sender" are about the sender.
"""

_ASIDE = re.compile(r"[(\[]([^()\[\]]*)[)\]]|\"([^\"]*)\"")

_PREDICATE = (
    r"\s*(?:unknown|invalid|expired|closed|disabled|inactive|suspended|locked|frozen|removed|deleted|terminated|revoked"
    r"|not (?:exist|found|known|valid|registered)|unbekannt|ungültig|abgelaufen|gesperrt"
    r"|inconnue?|invalide|expirée?|désactivée?|desconocid[oa]|inválid[oa]|caducad[oa]|cerrad[oa]"
    r"|sconosciut[oa]|scadut[oa]|desconhecid[oa]|expirad[oa]|onbekend|ongeldig|verlopen|gesloten|nieznan[ya]|neznám[ýá]"
    r"|неизвестен|недействителен)\s*(?:$|[,;.:!?()\[\]])"
)
"""What is said of the subject before a comma or colon: "the key: unknown"."""

_CLAUSE_END = re.compile(
    r"[;!?\u2026\u2013\u2014\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f\u060c\u061b\u0964()\[\]]"
    r"|(?:,|(?<!>)(?<!\bfrom)(?<!\bsender):|(?<=\s)-+(?=\s))(?!" + _PREDICATE + r")"
    r"|(?<!\.)\.+(?=\s|$)"
    r"|(?<!\S)(?:because|weil|denn|parce que|car|porque|perché|poiché|omdat|ponieważ|gdyż|protože|pretože|потому что"
    r"|так как|поскольку|тому що|оскільки|eftersom|fordi|koska|mert|deoarece|pentru că|çünkü|karena|jer)(?!\S)"
    r"|因为|因為|由于|由於"
)
"""Where a clause ends: punctuation, or a word before the reason."""

_VERB = re.compile(
    r"(?:is|was|are|were|has|have|does|do|could|can|not|ist|wurde|sind|est|a été|n'est|es|está|fue|è|é|foi|jest"
    r"|został[ao]?|byl[ao]?|är|har|er|blev)\s"
)
"""How the rest of a clause begins after words between: "the key, which you use, is unknown"."""

_SPACE = re.compile(r"[\s_\-\u2010-\u2015,;:!?\"()\[\]]+")

_SPELT_OUT = (
    ("\u2019", "'"),
    ("e-mail", "email"),
    ("can't", "can not"),
    ("won't", "will not"),
    ("n't", " not"),
    ("cannot", "can not"),
)


@dataclass(frozen=True, slots=True)
class Wording:
    """A reply's text in normal form, its clauses, and the hosts and links it names, in lower case."""

    prose: str
    names: str
    clauses: tuple[str, ...] = ()
    """The parts of the text between punctuation. What is in parentheses or quotes is a clause of its own."""


def normal_form(text: str) -> Wording:
    """Return the normal form of a reply's text.

    It is in lower case, with punctuation as spaces, without codes, and with `<@>`, `<host>`, `<ip>` and `<link>` for
    what they name.
    """
    names: list[str] = []
    low = " ".join(_word(word, names) for word in text[:MAX_TEXT].split()).lower()
    if "<<" in low:
        low = low.replace("<<", "<").replace(">>", ">")
    if "<" in low or "(" in low or "remote" in low or " sender" in low:
        low = _FRAMES.sub(" ", low)
    low = _CODE.sub(" ", _CODE_AND_STATUS.sub(" ", low))
    for short, long in _SPELT_OUT:
        low = low.replace(short, long)
    return Wording(_SPACE.sub(" ", low).strip(), " ".join(names).lower(), _clauses(low))


def _clauses(low: str) -> tuple[str, ...]:
    """Split a text in lower case at the ends of its clauses.

    A clause without a subject is there alone, and with each of the two before it.
    """
    asides = (bracketed or quoted for bracketed, quoted in _ASIDE.findall(low))
    parts = _CLAUSE_END.split(" ; ".join((_ASIDE.sub(" ", low), *asides)))
    clauses = [clause for clause in (_SPACE.sub(" ", part).strip() for part in parts) if clause]
    continued = (
        f"{before} {clause}"
        for at, clause in enumerate(clauses)
        if _VERB.match(clause) is not None
        for before in clauses[max(0, at - 2) : at]
    )
    return (*clauses, *continued)


def _word(word: str, names: list[str]) -> str:
    """Replace what a word names by tokens; collect its hosts and links in `names`."""
    if "@" in word:
        word = _ADDRESS.sub("<@>", word)
    if "://" in word or "www." in word.lower():
        names += (found[0] for found in _LINK.finditer(word))
        word = _LINK.sub("<link>", word)

    dotted = "." in word
    if dotted or word.count(":") > 2:
        word = _IP.sub("<ip>", word)
        names += (found[0] for found in _HOST.finditer(word))
        word = _HOST.sub("<host>", word)
    if dotted or len(_HUMP.findall(word)) > 1:
        word = _HUMP.sub(" ", word)

    return word
