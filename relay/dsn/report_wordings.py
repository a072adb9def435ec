"""Wordings by which reports for people are recognised, in the languages of mail systems.

Each list is one case-insensitive expression. Every repetition in it is bounded.
"""

import re


def any_of(*forms: str) -> re.Pattern[str]:
    """Compile alternatives into one case-insensitive expression."""
    return re.compile("|".join(forms), re.IGNORECASE)


DAEMON = any_of(
    r"microsoftexchange[0-9a-f]{8}|mail(?:er)?[-_ ]?daemon|\bmdaemon@|post_?master@"
    r"|mail deliver\w{0,2} (?:sub)?(?:system|service)",
)
"""Authors that are certainly mail systems."""

SYSTEM = any_of(
    DAEMON.pattern,
    r"mail-daemon|maildaemon|mdaemon|daemon@|post_?master",
    r"mail ?delivery|mail ?administrator|system ?admin|delivery (?:sub)?system",
    r"mail(?:er)? ?(?:system|server|router|gateway)|mta\b|\bmailer\b|@mail\.|smtp|postfix|exchange",
    r"email ?firewall|gateway|virus|mailsweeper|scanmail|antigen|mailmarshal",
    r"bounce|undeliver|failure|nobody@|root@|no-?reply",
)
"""Authors that may be mail systems."""

FAILURE_SUBJECT = any_of(
    r"undeliver|non.?deliver|not (?:be )?delivered|ndn\b|ndr\b",
    r"deliver.{0,40}(?:fail|status|report|error|problem|notif|delay|warn|impossible)",
    r"(?:fail|error|problem|unable|notif|warn|could not|cannot).{0,40}(?:deliver|sending|mail|message)",
    r"failure notice|errors? from|warning: (?:message|could)|delayed",
    r"return(?:ed|ing)?[ :-]{1,3}(?:mail|to sender|message|e-?mail|undeliver)",
    r"mail.{0,20}(?:fail|error|return|undeliver|reject|bounce|blocked|could not)|reject|bounced?\b",
    r"message .{0,60}(?:not delivered|blocked|rejected|refused|bounced)",
    r"user unknown|unknown user|address .{0,20}(?:invalid|unknown|not)|over ?quota|mailbox full|not member",
    r"verzögert|retard|retras|atras|ritard|vertraagd|försen|forsink|viivästy|opóźni|zpožd|gecik|задерж|延迟|延遲"
    r"|遅延|지연",
    r"unsolicited bulk|virus|spam|blocked",
    r"unzustellbar|zustell|non remis|échec|non distribu|no entregad|no se (?:pued[eo]|pudo|ha podido)|devuelto"
    r"|fallo|error (?:de|en la) entrega",
    r"não entregue|não é possível|falha|devolvid|mancat[ao]|impossibile|non recapitab|onbestelbaar"
    r"|niet (?:bezorgd|afgeleverd)",
    r"nie (?:dostarczon|można|udało)|zwrot|nedoruč|nelze doručit|ikke leveret|kunne ikke leveres|ikke levert",
    r"kunde inte levereras|olevererad|toimittamatta|kézbesíthetetlen|nem kézbesít|teslim edilemedi|iletilemedi",
    r"не ?доставлен|недоставлен|ошибка|возврат",
    r"配信|配送|送信|エラー|メール|返送|退信|退回|投递|失败|失敗|전송|반송",
)
"""Subjects of failure reports and of warnings."""

COMPLAINT_SUBJECT = re.compile(
    r"\s{0,5}(?:complaint about message|e-?mail feedback report|(?:spam )?complaint (?:from|report)"
    r"|(?:spam|abuse|feedback|fbl) (?:complaint |feedback )?report)",
    re.IGNORECASE,
)
"""Subjects of complaints from before the feedback format."""

REFUSAL = any_of(r"rejected mail", r"(?:was|been|is) (?:automatically )?(?:rejected|refused)")
"""Wordings of a receipt that is a refusal."""

ANNOUNCES = re.compile(
    r"^[^\n>]{0,40}\b(?:your (?:message|mail|e-?mail)\b.{0,60}(?:(?:could not|was not|has not been|cannot) be"
    r"|not delivered|undeliverable|rejected)|votre message n|you are not (?:a )?member of)",
    re.IGNORECASE | re.MULTILINE,
)
"""Openings which state that the reader's message failed."""

_NOT = r"(?:could|can|did|was|were|has|have|had|is|are|been|will|would)(?: ?not|n['’]?t)"

_WHAT = r"(?:message|mail|e-?mail|attachment|file|recipient|address)"

_WHO = r"(?:user|mailbox|recipient|address|account|addressee|domain|host)"

FAILURE = any_of(
    rf"{_NOT}(?: yet)? (?:be|been|get|reach)? ?(?:deliver|sen[dt]|reach|accept|process|forward|transmit|transfer"
    r"|complet|find|found|exist|receiv|route|resolve|read|allow|valid|known|list|connect)",
    r"undeliver|non-?deliver|(?:unable|(?:not|n['’]t) able) to (?:deliver|send|process|relay|route|reach)",
    r"(?:delivery|sending|transmission|mail) .{0,60}(?:fail|error|problem|unsuccessful|impossible|abort|rejected)",
    r"fail(?:ed|ure)? .{0,40}(?:deliver|recipient|address|send|notice|mail)|fatal errors",
    r"permanent(?:ly)? (?:fail|error)|error .{0,50}(?:deliver|address|occurred|recipient|sending|transfer|message)",
    r"returned (?:to (?:the )?sender|mail|message|below|unopened)|returning (?:your|the) (?:mail|message)",
    r"bounced? (?:message|mail|address)",
    rf"{_WHAT}\b.{{0,80}}(?:rejected|refused|blocked|bounced|undeliverable|not accepted|quarantined|undelivered"
    r"|not delivered|not received|deleted|disabled)",
    r"(?:unknown|invalid|bad|incorrect|no such|nonexistent|inactive) (?:user|recipient|mailbox|address|e-?mail"
    r"|local|host|domain|account|person)",
    rf"{_WHO}\b.{{0,60}}(?:unknown|not (?:found|exist|known|valid|listed|recogni[sz]ed|local)|do(?:es not|esn't) exist"
    r"|disabled|full|over quota|exceed|suspended|inactive|no longer|unavailable|invalid|not accepting|discontinued"
    r"|closed|refus|reject)",
    r"not a valid|no mailbox here|incorrectly constructed|host unknown|access denied|relaying denied",
    r"quota .{0,30}exceeded|exceeded .{0,40}(?:quota|limit|size|storage)|mailbox .{0,20}full|over (?:its |the )?quota",
    r"message size exceeds|too (?:big|large|many hops)",
    r"(?:has|have|been) .{0,30}delayed|still (?:trying|being retried|undelivered|awaiting)",
    r"will (?:be retried|continue|keep) |\b5\d\d[ -](?:#?5\.\d|[A-Z<])",
    r"unzustellbar|nicht (?:zugestellt|zustellbar|erreicht|gefunden)|konnte .{0,80}nicht|kon niet|niet worden",
    r"n'a (?:pas )?pu|n'a pas été|non (?:remis|distribu|recapit|consegnat)|n'existe pas",
    r"no (?:ha podido|se ha podido|pudo|se pudo|se puede|se entreg|se encuentra|lleg|fue|existe|es posible)"
    r"|error (?:de|en la) entrega|não (?:foi|pôde|existe|pode)|falha na entrega",
    r"impossibile|non è stato|mancata|non riuscit|non ha raggiunto",
    r"не (?:может|удалось|был|доставлен|существует|найден)|недоставлен|невозможно",
    r"送信でき|配信でき|配送できま|届き?ません|届けられ|見つかりません|存在しません|存在しない|エラー|失敗",
    r"nie (?:udało|można|został|dostarczono)|nelze|nedoruč|(?:kunne|kan) ikke|(?:kunde|kan) inte|ei (?:voitu|voida)",
    r"not (?:a )?member of|gick inte|gikk ikke|lykkedes ikke|(?:blev|ble) ikke|onnistunut|epäonnistu|nepodařil"
    r"|nepavyko",
    r"neizdevās|ebaõnnestu|nije (?:uspjel|moguće)|ni (?:bilo )?mogoče|nu a putut|nu s-a putut|не вдалося|не може да"
    r"|δεν ήταν",
    r"απέτυχε|αδυναμία|נכשל|לא ניתן|تعذر|فشل|ไม่สามารถ|ล้มเหลว|không thể|gagal|tidak dapat|başarısız|no hemos podido",
    r"nem (?:sikerült|lehet|kézbesít)|edilemedi|iletilemedi|失败|退信|退回|无法|未送达|拒收|전송 ?실패|배달",
)
"""Statements that mail was not delivered."""

FAILS = any_of(
    r"deliver|undeliver|reject|refus|unknown|fail|bounc|no such|full|quota|denied|block|invalid|error|unable|disabled",
    r"not (?:exist|found|listed|accept|reach|send|sent|valid|known)|could ?n[o']t|exceed|unroutable|return",
    r"not (?:a )?member|rcpt to|[45]\d\d[ -]|inexist|desconocido|zugestellt|zustell|remis|distribu|consegnat"
    r"|usuario|届|送信|配信",
    r"不存在|存在し|見つか|无法|無法|失败|失敗|退信|退回|拒|已满|已滿|いっぱい|エラー|없|실패|거부|반송|초과",
    r"не ?(?:существу|найден|доставлен|удалось|может)|неизвест|переполнен|отклон|заблокирован|недоставлен",
    r"niet|onbekend|inconnu|introuvable|pleine?\b|sconosciut|pien[ao]\b|n[ãa]o (?:foi|existe)|cheia|llen[oa]\b"
    r"|nie (?:istnieje|można)",
    r"nelze|doru[čc]|dostarcz|levere|leverans|toimit|kézbes|iletil|ulaştır|bezorg|recapit|entreg|未能|送达|送達|배달",
    r"unbekannt|existiert nicht|voll\b|abgelehnt|verweigert|okänd|ukendt|ukjent|tuntematon|neexist|nedoru|ismeretlen",
)
"""Words of failure, meaningful only in a failure report."""

WARNING = any_of(
    r"(?:could not|unable to) send (?:your )?(?:mail|message) for (?:the )?past",
    r"warning message only|warning only|this is (?:just |only )?an? (?:warning|advisory)",
    r"do(?: not|n't) need to (?:resend|send|do|take)|need not resend|no action is required",
    r"will (?:retry|try again|keep trying) for (?:another )?\d|temporary (?:problem delivering|failure report)",
    r"is delayed for more than|notified if (?:the )?delivery fails|continue to try (?:to )?deliver",
    r"has not yet|not yet been|not been delivered yet|still being retried|delivery attempts will continue",
    r"will continue (?:to (?:try|attempt|retry)|trying|attempting)|継続して|再送を",
    r"weiter versucht|noch nicht zugestellt",
    r"ännu inte|endnu ikke|ennå ikke|ei ole vielä|jeszcze nie|ještě ne|még nem|henüz|încă nu|ще не (?:було )?доставлен",
    r"n'a pas encore|nouvelles? tentatives?|todavía no|aún no|seguirá intentando|ainda não|non è ancora|nog niet"
    r"|ещё не|еще не|попытки .{0,30}продолж|尚未|仍在尝试",
)
"""Statements that only a warning contains."""

DELAY = any_of(
    r"still (?:trying|undelivered|awaiting)|will (?:be retried|keep trying|try again|retry)|\(delay\)|delivery delay",
    r"(?:delivery|message|mail|has been|was|is|temporarily) (?:has been |is |was |being )?"
    r"(?:delayed|deferred|postponed)\b",
)
"""Statements that a warning contains, and sometimes a final report."""

GIVEN_UP = any_of(
    r"giving up|gave up|given up|will not (?:be retried|retry|try)|no further|permanent|fatal|undeliverable|expired",
    r"(?:could|can) ?not be delivered(?! (?:yet|for more|within|immediately|for the last))",
    r"returned to|being returned|failed (?:address|recipient|permanently)|has failed|delivery failed|未達",
)
"""Statements that delivery was given up."""
