"""Answers of robots: vacation notes, acknowledgements, challenges (RFC 3834, and what programs did before it)."""

import re

from relay.dsn.parts import Header
from relay.dsn.vocabulary import any_of

_MARKS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-autoreply-from",
    "x-mail-autoreply",
    "x-auto-reply",
)
_WEAK_MARKS = ("x-auto-response-suppress", "x-ms-exchange-inbox-rules-loop", "x-loop")
_PRECEDENCE = ("auto_reply", "auto-reply", "autoreply")
_SUBJECTS = (
    r"auto(?:mat\w{0,10})?[- _]?(?:reply|repl\w{1,5}|response|respons\w{0,6}|answer|acknowledge?ment)\b",
    r"auto(?:mat\w{0,10})?[- _]?(?:antwort|antwoord|svar|vastaus|odpov\w{1,6}|odpowied\w{1,4}|válasz|atbilde|notif)",
    r"automat(?:ic|ed|isch\w{0,2}|isk\w{0,3}|ick[aá]|yczna|inen|ikus)\b.{0,30}"
    r"(?:reply|response|answer|antwoord|antwort|svar|atbilde|vastaus|odpov|odpowied|válasz|notif)",
    r".{0,60}automatisk\w{0,3} (?:atbilde|svar)|odpowied[zź] automatyczna|otomatik (?:yanıt|cevap)",
    r"(?:réponse|reponse|risposta|respuesta|resposta|răspuns) auto|.{0,40}\bautom[aá]tic[oa]\b",
    r"автоматический ответ|автоответ|自動(?:返信|応答|回覆|回复)|自动(?:回复|答复)|자동 ?(?:회신|응답)",
    r"out[- ]of[- ](?:the[- ])?office|ooo\b|.{0,60}\bout of (?:the )?office\b",
    r"away (?:from|until|on|till)\b|.{0,40}\bon (?:vacation|holiday|leave)\b|vacation (?:reply|response|message)",
    r"abwesenheit|abwesend|.{0,30}nicht im (?:büro|haus)|afwezig|niet aanwezig|frånvaro|fravær",
    r"poissa(?: |$)|poissaolo",
    r"absen(?:ce|t|cia|za|t[iy]a)\b|.{0,20}\bfuori (?:sede|ufficio)|fuera de (?:la )?oficina|aus[eê]ncia|assente\b",
    r"nieobecno|nepřítom|távol|отсутств|нет на месте|.{0,20}不在|外出|휴가|부재",
    r"i(?:'m| am) (?:away|out|on)\b|.{0,30}(?:has|have) left (?:the )?(?:company|organi[sz]ation)",
    r"no longer (?:with|at|employed)\b|we(?:'ve| have) received your (?:message|e-?mail|request)",
)
_SUBJECT = re.compile(
    rf"\s{{0,5}}(?:(?:re|aw|sv|fw|fwd)\s?:\s?|\[[^\]]{{0,40}}\]\s?){{0,2}}(?:{'|'.join(_SUBJECTS)})", re.IGNORECASE
)
_BODY = any_of(
    r"this is an? auto(?:matic|mated|-)?[ -]?(?:generated )?(?:reply|response|answer)|automatic reply to your",
    r"i(?:'m| am| will be) (?:currently |presently |now )?"
    r"(?:away|out of (?:the )?office|on (?:vacation|holiday|leave|annual leave|maternity))",
    r"(?:bin|befinde mich|sind) .{0,60}(?:nicht (?:im büro|erreichbar|im hause)|im urlaub|außer haus)",
    r"je (?:suis|serai) (?:absent|en congé|en vacances)|estoy (?:fuera|de vacaciones|ausente)",
    r"(?:estarei|estou) (?:ausente|de férias|fora)|sono (?:assente|in ferie|fuori)|thank you for (?:your|contacting)",
    r"to control spam, i|approved senders|confirm (?:that )?you(?:r| are) .{0,40}(?:message|human|sender)",
    r"verify .{0,30}(?:sender|human)|no longer (?:in use|monitored|works?|employed)",
)


def is_auto_reply(header: Header, text: str) -> bool:
    """Tell whether a mail answers by itself.

    `Auto-Submitted: auto-replied` says so (RFC 3834 section 5); so do the marks of vacation programs and a subject in
    their usual words. The usual words of a body do when the mail answers something or carries a weaker mark.
    """
    submitted = header.get("auto-submitted").lower()
    precedence = header.get("precedence").lower().strip()
    if submitted.startswith(("auto-replied", "auto-notified")) or precedence in _PRECEDENCE:
        return True
    if any(mark in header for mark in _MARKS):
        return True
    if "list-id" in header or precedence == "list":
        return False
    if _SUBJECT.match(header.text("subject")[:300]) is not None:
        return True
    weak = submitted.startswith("auto") or precedence in ("bulk", "junk") or any(mark in header for mark in _WEAK_MARKS)
    answers = "in-reply-to" in header or "references" in header or header.get("return-path").strip() == "<>"
    return weak and answers and _BODY.search(text[:3000]) is not None
