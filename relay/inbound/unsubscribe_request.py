"""A mail that asks to be written to no more: one short line that says that and nothing else. Pure.

Only the subject and the first line somebody wrote are looked at, and each must be the request from end to end: a reply
that talks about unsubscribing, or quotes a footer that offers it, asks for nothing.
"""

import re
from dataclasses import dataclass

from relay.mail.subject import base_subject, is_forwarded

_LONGEST = 80
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
class Request:
    """Somebody asks to be unsubscribed."""

    bare: bool
    """It says nothing besides, as a mail program writes it for its button: nobody needs to read it."""


def request_in(subject: str, text: str, about: str) -> Request | None:
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
    return Request(bare=not rest)


def bare_subject(subject: str) -> str:
    """Return the words of a subject as they are compared, without the marks of an answer."""
    return _words(base_subject(subject))


def _asks(line: str) -> bool:
    return len(line) <= _LONGEST and _words(line) in _REQUESTS


def _words(line: str) -> str:
    """Return the words of a line as they are compared."""
    words = _PUNCTUATION.sub(" ", line[: 4 * _LONGEST].lower()).replace("por favor", " ").split()
    return " ".join(word for word in words if word not in _COURTESY)
