"""Classifies a reply: human, automatic, or an unsubscribe request."""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.dsn.auto_reply import is_auto_reply, is_marked_automatic
from relay.dsn.mime_parts import Header, decode_words
from relay.dsn.report import Report
from relay.mail.headers import body_start, fields, first_text, first_value
from relay.mail.subject import base_subject, is_forwarded

if TYPE_CHECKING:
    from relay.dsn.returned_mail import Received


_LONGEST_REQUEST = 80
"""Maximum characters of a line that can be a request."""


_PUNCTUATION = re.compile(r"[\s.,;!…\"'„“”«»()*_-]+")


_COURTESY = frozenset(
    {"please", "pls", "kindly", "hi", "hello", "thanks", "bitte", "danke", "merci", "svp", "aub", "graag", "proszę"}
)
"""Words removed before a line is compared."""


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
"""Whole lines, in lower case, without punctuation and courtesy words."""


_QUOTED = re.compile(r"\s*(?:>|\|)")


_LONGEST_FIELD = 500
"""Maximum characters stored of a field."""


@dataclass(frozen=True, slots=True)
class UnsubscribeRequest:
    """A request to be unsubscribed."""

    bare: bool
    """The mail has no other text, like one made by a mail program's unsubscribe button: it need not be read."""


@dataclass(frozen=True, slots=True)
class ReplyInfo:
    """Classification of a reply."""

    automatic: bool
    marked: bool
    """Header fields prove that it is automatic. Without them its words may be a person's."""
    request: UnsubscribeRequest | None
    """The unsubscribe request in it; always None for an automatic reply."""


def parse_reply(content: bytes, report: Report, about: str) -> ReplyInfo:
    """Classify a reply to a message with the subject `about`; linear in the content.

    A person's reply repeats the message's subject. A subject that reads like an automatic one then proves nothing.
    """
    # Imported here: its patterns take a tenth of a second to compile, which would delay the start.
    from relay.dsn.returned_mail import read

    mail, about = read(content), decode_words(about)
    marked = is_marked_automatic(mail.header)
    automatic = marked or (report.kind == "auto-reply" and not _only_repeats(mail, about))
    return ReplyInfo(automatic, marked, None if automatic else find_unsubscribe_request(mail.subject, mail.text, about))


def _only_repeats(mail: "Received", about: str) -> bool:
    """Whether only the subject marks the mail as automatic, and it repeats the message's subject."""
    if not about or bare_subject(mail.subject) != bare_subject(about):
        return False
    rest = Header(tuple(pair for pair in mail.header.pairs if pair[0] != "subject"))
    return not is_auto_reply(rest, mail.text)


def find_unsubscribe_request(subject: str, text: str, about: str) -> UnsubscribeRequest | None:
    """Return the request in a mail's decoded subject or the first line of its text, else None.

    `about` is the subject of the message it answers: repeating that subject is no request.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    first = lines[0] if lines and _QUOTED.match(lines[0]) is None else ""
    wanted = bare_subject(subject)
    by_subject = wanted in _REQUESTS and wanted != bare_subject(about) and not is_forwarded(subject)
    if not (by_subject or _asks(first)):
        return None
    rest = [line for line in lines if _QUOTED.match(line) is None and not _asks(line)]
    return UnsubscribeRequest(bare=not rest)


def bare_subject(subject: str) -> str:
    """Return the words of a subject for comparison, without reply prefixes."""
    return _words(base_subject(subject))


def _asks(line: str) -> bool:
    return len(line) <= _LONGEST_REQUEST and _words(line) in _REQUESTS


def _words(line: str) -> str:
    """Return the words of a line for comparison."""
    words = _PUNCTUATION.sub(" ", line[: 4 * _LONGEST_REQUEST].lower()).replace("por favor", " ").split()
    return " ".join(word for word in words if word not in _COURTESY)


def header_of(content: bytes, *, exact: bool) -> dict[str, object]:
    """Return the fields of a mail that are recorded, and those that identify it: its Message-ID.

    Without a Message-ID, or with `exact`, a digest of its date and body is added: servers in between change neither.
    `exact` is for mail that must not be lost where programs reuse a Message-ID.
    """
    found = fields(content)
    named = {"from": b"from", "subject": b"subject", "message_id": b"message-id"}
    recorded: dict[str, object] = {
        key: first_text(content, found, name)[:_LONGEST_FIELD] for key, name in named.items()
    }

    if exact or not recorded["message_id"]:
        digest = hashlib.blake2b(first_value(content, found, b"date") or b"", digest_size=16)
        digest.update(content[body_start(content) :])
        recorded["digest"] = digest.hexdigest()
    return recorded
