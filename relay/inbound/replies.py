"""Human reply, auto-reply or unsubscribe request."""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.dsn.auto_reply import is_auto_reply, is_marked_automatic
from relay.dsn.mime_parts import Header, decode_words
from relay.dsn.report import Report
from relay.mail.headers import body_start, fields, first_value
from relay.mail.subject import base_subject, is_forwarded

_LONGEST_REQUEST = 80
"""Characters of a line that can be a request."""


_PUNCTUATION = re.compile(r"[\s.,;!…\"'„“”«»()*_-]+")


_COURTESY = frozenset(
    {"please", "pls", "kindly", "hi", "hello", "thanks", "bitte", "danke", "merci", "svp", "aub", "graag", "proszę"}
)
"""Words that change nothing about a request."""


_PHRASES = """
    unsubscribe|unsubscribe me|i want to unsubscribe|i wish to unsubscribe|i would like to unsubscribe|opt me out
    opt out
    unsubscribe from this list|unsubscribe from this newsletter|unsubscribe me from this list|stop emailing me
    unsubscribe me from your mailing list|unsubscribe from your mailing list|unsubscribe me from this mailing list
    remove me|remove me from this list|remove me from your list|remove me from your mailing list|take me off this list
    remove me from this mailing list|take me off your list|take me off your mailing list|remove my address
    remove my email|remove my email address|stop mailing me|stop sending me emails|do not email me again
    abmelden|abmeldung|abbestellen|newsletter abmelden|newsletter abbestellen|vom newsletter abmelden|austragen
    melden sie mich ab|mich abmelden|mich austragen|nehmen sie mich aus dem verteiler|aus dem verteiler nehmen
    nehmen sie mich von der liste|nehmen sie mich aus dem verteiler heraus|keine weiteren e mails
    désinscrire|desinscrire|me désinscrire|se désinscrire|désinscription|desinscription|désabonner|desabonner
    me désabonner|se désabonner|désabonnement|desabonnement|désinscrivez moi|désabonnez moi|de me désinscrire
    darse de baja|darme de baja|dar de baja|denme de baja|quiero darme de baja|cancelar suscripción
    cancelar la suscripción|cancelar suscripcion|desuscribir|desuscribirme|desuscribirse
    cancelar inscrição|cancelar a inscrição|cancelar subscrição|cancelar a subscrição|cancelar assinatura|descadastrar
    cancellami|cancellatemi|cancella iscrizione|cancellare iscrizione|disiscrivimi|disiscrivetemi|disiscrizione
    annulla iscrizione|afmelden|uitschrijven|schrijf mij uit|meld mij af|avregistrera|avregistrera mig
    avsluta prenumeration|afmeld|afmeld mig|frameld|meld meg av|avmeld|peruuta tilaus|lopeta tilaus
    wypisz mnie|wypisać|rezygnuję|anuluj subskrypcję|odhlásit|odhlaste mě|leiratkozás|leiratkozom|dezabonare
    отписаться|отпишите меня|отписка|відписатися|退订|取消订阅|退訂|取消訂閱|配信停止|購読解除|수신거부|구독취소
"""


_REQUESTS = frozenset(re.split(r"\s*[|\n]\s*", _PHRASES.strip()))
"""The whole of a line, in lower case, without punctuation and courtesy."""


_QUOTED = re.compile(r"\s*(?:>|\|)")


@dataclass(frozen=True, slots=True)
class UnsubscribeRequest:
    """Somebody asks to be unsubscribed."""

    bare: bool
    """It says nothing besides, as a mail program writes it for its button: nobody needs to read it."""


def find_unsubscribe_request(subject: str, text: str, about: str) -> UnsubscribeRequest | None:
    """Return the request a mail makes by its decoded subject or the first line of its text, None when it makes none.

    `about` is the subject of the message it answers: what only repeats that is no request.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    written = lines[0] if lines and _QUOTED.match(lines[0]) is None else ""
    asks = bare_subject(subject)
    by_subject = asks in _REQUESTS and asks != bare_subject(about) and not is_forwarded(subject)
    if not (by_subject or _asks(written)):
        return None
    rest = [line for line in lines if _QUOTED.match(line) is None and not _asks(line)]
    return UnsubscribeRequest(bare=not rest)


def bare_subject(subject: str) -> str:
    """Return the words of a subject as they are compared, without the marks of an answer."""
    return _words(base_subject(subject))


def _asks(line: str) -> bool:
    return len(line) <= _LONGEST_REQUEST and _words(line) in _REQUESTS


def _words(line: str) -> str:
    """Return the words of a line as they are compared."""
    words = _PUNCTUATION.sub(" ", line[: 4 * _LONGEST_REQUEST].lower()).replace("por favor", " ").split()
    return " ".join(word for word in words if word not in _COURTESY)


if TYPE_CHECKING:
    from relay.dsn.received import Received


_LONGEST_FIELD = 500
"""Characters kept of a field."""


@dataclass(frozen=True, slots=True)
class ReplyInfo:
    """What an answer is."""

    automatic: bool
    marked: bool
    """Fields prove that it is automatic: nobody misses it. Words alone may be a person's."""
    request: UnsubscribeRequest | None
    """That it asks to be unsubscribed; a robot never does."""


def parse_reply(content: bytes, report: Report, about: str) -> ReplyInfo:
    """Read an answer to a message with the subject `about`; linear in the content.

    A person who answers a message whose own subject reads like a robot's repeats that subject: then it proves nothing.
    """
    # Patterns that take a tenth of a second to compile, in the thread this runs in: no start waits for them.
    from relay.dsn.received import read

    mail, about = read(content), decode_words(about)
    marked = is_marked_automatic(mail.header)
    automatic = marked or (report.kind == "auto-reply" and not _only_repeats(mail, about))
    return ReplyInfo(automatic, marked, None if automatic else find_unsubscribe_request(mail.subject, mail.text, about))


def header_of(content: bytes, *, exact: bool) -> dict[str, object]:
    """Return what the story tells of a mail, and what tells one mail from another: its Message-ID.

    Where that is missing, or must not be relied on (`exact`: programs that use one again must not lose mail), a digest
    of its date and body is there too. Neither changes on the way between servers.
    """
    found = fields(content)
    named = {"from": b"from", "subject": b"subject", "message_id": b"message-id"}
    values = {key: first_value(content, found, name) or b"" for key, name in named.items()}
    told: dict[str, object] = {key: value.decode("utf-8", "replace")[:_LONGEST_FIELD] for key, value in values.items()}
    if exact or not told["message_id"]:
        digest = hashlib.blake2b(first_value(content, found, b"date") or b"", digest_size=16)
        digest.update(content[body_start(content) :])
        told["digest"] = digest.hexdigest()
    return told


def _only_repeats(mail: "Received", about: str) -> bool:
    """Tell whether nothing but the subject speaks for a robot, and the subject is ours."""
    if not about or bare_subject(mail.subject) != bare_subject(about):
        return False
    rest = Header(tuple(pair for pair in mail.header.pairs if pair[0] != "subject"))
    return not is_auto_reply(rest, mail.text)
