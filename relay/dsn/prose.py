"""Failure reports written for people only: qmail, Exim, old Sendmail, gateways, appliances.

There is no grammar to parse, but there is a habit: the report names each recipient on a line of its own, after a
label, or in the sentence that says what went wrong, and the reply of the other host stands beneath or in a transcript.
The strongest of these positions that is taken at all tells the recipients.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from relay.dsn.addresses import ADDRESS, clean_address, is_machine
from relay.dsn.replies import phase_of, smtp_code, status_in
from relay.dsn.report import Action, Recipient

_MAX_LINES = 400
_MAX_LINE = 600
_MAX_RECIPIENTS = 100
_MAX_DIAGNOSTIC = 1500
_BLOCK_LINES = 14

_A = ADDRESS.pattern
_ALONE = re.compile(
    rf"[\s>*\-•.|#\[]{{0,12}}(?:\d{{1,3}}[.)] )?[<\"'\[(]{{0,2}}({_A})[>\"'\])]{{0,2}}\s{{0,4}}(?:\([^)]{{0,200}}\)?\s{{0,3}})?(?:[:;,.]|\.\.\.|[ -]+)?\s{{0,5}}$"
)
_LEADING = re.compile(
    rf"[\s>*\-•|]{{0,10}}(?:[^<>@:]{{0,60}}<({_A})>(?=\s{{0,4}}(?:\([^)]{{0,200}}\)\s{{0,3}})?(?::|\.\.\.))|<({_A})>|({_A}))\s{{0,4}}(?:\([^)]{{0,200}}\)\s{{0,3}})?(?:: |:$|\.\.\. ?|\.\.|, | - |-- |\s{{2,}}|; |\t| on (?=\w{{3}}, \d))(.{{0,500}})"
)
_REPLIED = re.compile(rf"\s{{0,6}}[45]\d\d[ -](?:[45]\.\d{{1,3}}\.\d{{1,3}} )?<?({_A})>?\.\.\. ?(.{{0,500}})")
_TOWARDS = re.compile(
    rf"\b(?:deliver\w*|sent?|sending|mail|e-?mail|message|reach|forward\w*|addressed|recipients?|address)\b[^@]{{0,80}}?\b(?:to|for|reach|address|recipient|user)\b:? {{1,2}}(?:\w{{1,20}} ){{0,3}}[<\"'\[(]{{0,2}}(?:mailto:)?({_A})",
    re.IGNORECASE,
)
_BARE = re.compile(r"[\s*\->]{1,12}([A-Za-z0-9][\w.+-]{0,63})\s{0,4}$")
_INTRODUCES = re.compile(r"(?:recipient|address|user)\b.{0,160}:\s{0,4}$", re.IGNORECASE)
_LABEL = re.compile(
    rf"[\s>*\-•|]{{0,10}}(?:(?:final|original|failed|intended|invalid|unknown|bad|envelope|e-?mail|the)[ -])?"
    rf"(?:recipients?|to|rcpt(?: to)?|user|addressees?|address|e-?mail|forward-path|mailbox|destinat\w{{2,10}}|empf[äa]nger|an|para|pour|宛先|receiver|delivery to|sent to|undelivered to|your message to)"
    rf"(?: (?:address|name|e-?mail|list|is|was|of the message))?\s{{0,6}}(?::|=|->)\s{{0,10}}(?:\"[^\"]{{0,80}}\" ?)?[<\"'\[]{{0,2}}(?:smtp:|mailto:)?({_A})",
    re.IGNORECASE,
)
_NOT_OURS = re.compile(
    r"\b(?:from|sender|reply-to|return-path|contact|questions?|assistance|mailto:|help ?desk|message-id|support|forward (?:this|it)|send (?:an? )?(?:e-?mail|message) to|errors-to|administrator|cc)\b(?!.{0,20}(?:to|recipient))|(?:^|\s)id[:= ]",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"deliver|undeliver|reject|refus|unknown|fail|bounc|not (?:exist|found|listed|accept|reach|send|sent|valid|known)|no such|full|quota|denied|block|invalid|error|unable|could ?n[o']t|disabled|rcpt to|[45]\d\d[ -]|exceed|unroutable|return|inexist|desconocido|zugestellt|zustell|remis|distribu|consegnat|usuario|届|送信|配信",
    re.IGNORECASE,
)
_EVIDENCE = re.compile(
    r"(?:could|can|did|was|were|has|have|had|is|are|been|will|would)(?: ?not|n['’]?t)(?: yet)? (?:be|been|get|reach)? ?(?:deliver|sen[dt]|reach|accept|process|forward|transmit|transfer|complet|find|found|exist|receiv|route|resolve|read|allow|valid|known|list|connect)"
    r"|undeliver|non-?deliver|unable to (?:deliver|send|process|relay|route|reach)|(?:delivery|sending|transmission|mail) .{0,60}(?:fail|error|problem|unsuccessful|impossible|abort|status notification|rejected)|fail(?:ed|ure)? .{0,40}(?:deliver|recipient|address|send|notice|mail)|fatal errors|permanent(?:ly)? (?:fail|error)|error .{0,50}(?:deliver|address|occurred|recipient|sending|transferring|message)"
    r"|returned (?:to (?:the )?sender|mail|message|below|unopened)|returning (?:your|the) (?:mail|message)|bounced? (?:message|mail|address)|(?:message|mail|e-?mail|attachment|file|recipient|address)\b.{0,80}(?:rejected|refused|blocked|bounced|undeliverable|not accepted|quarantined|undelivered|not delivered|not received|deleted|disabled)"
    r"|(?:unknown|invalid|bad|incorrect|no such|nonexistent|inactive) (?:user|recipient|mailbox|address|e-?mail|local|host|domain|account|person)|(?:user|mailbox|recipient|address|account|addressee|domain|host)\b.{0,60}(?:unknown|not (?:found|exist|known|valid|listed|recogni[sz]ed|local)|doesn't exist|does not exist|disabled|full|over quota|exceed|suspended|inactive|no longer|unavailable|invalid|not accepting|discontinued|closed|refus|reject)"
    r"|quota .{0,30}exceeded|exceeded .{0,40}(?:quota|limit|size|storage)|mailbox .{0,20}full|over (?:its |the )?quota|host unknown|message size exceeds|too (?:big|large|many hops)|access denied|relaying denied|(?:has|have|been) .{0,30}delayed|still (?:trying|being retried|undelivered|awaiting)|will (?:be retried|continue|keep) "
    r"|\b5\d\d[ -](?:#?5\.\d|[A-Z<])|unzustellbar|nicht (?:zugestellt|zustellbar|erreicht|gefunden)|konnte .{0,80}nicht|n'a (?:pas )?pu|n'a pas été|non (?:remis|distribu|recapit|consegnat)|n'existe pas|no (?:ha podido|se ha podido|pudo|se pudo|fue|existe|es posible)|não (?:foi|pôde|existe|pode)|impossibile|non è stato|mancata|kon niet|niet worden|не (?:может|удалось|был|доставлен|существует|найден)|недоставлен|невозможно|失敗|失败|送信でき|配信でき|届き?ません|届けられ|見つかりません|存在しません|存在しない|エラー|配送できま|退信|无法|未送达|拒收|전송 ?실패|배달",
    re.IGNORECASE,
)
_WARNING = re.compile(
    r"warning message only|this is (?:just |only )?an? (?:warning|advisory)|warning only|do(?: not|n't) need to (?:resend|send|do|take)|need not resend|has not yet|not yet been|not been delivered yet|delivery attempts will continue|no action is required|will continue (?:to (?:try|attempt|retry)|trying|attempting)|still being retried|継続して|再送を",
    re.IGNORECASE,
)
_DELAY = re.compile(
    r"still (?:trying|undelivered|awaiting)|will (?:be retried|keep trying|try again|retry)|(?:delivery|message|mail|e-?mail|has been|was|is|temporarily) (?:has been |is |was |being )?(?:delayed|deferred|postponed)\b|\(delay\)|delivery delay",
    re.IGNORECASE,
)
_GIVEN_UP = re.compile(
    r"giving up|gave up|given up|will not (?:be retried|retry|try)|no further|permanent|fatal|undeliverable|(?:could|can) ?not be delivered(?! (?:yet|for more|within|immediately|for the last))|returned to|being returned|failed (?:address|recipient|permanently)|has failed|delivery failed|未達|expired",
    re.IGNORECASE,
)
_TRANSCRIPT_REPLY = re.compile(
    r"^\s{0,6}(?:<<<|->|Response:|Remote (?:host|server) (?:said|replied|responded)|.{0,60}\b(?:said|reply|response|responded)\b.{0,20}:)?\s{0,4}[<\"']?([45]\d\d[ \-#].{0,400})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Found:
    address: str
    line: int
    rest: str


def has_evidence(text: str) -> bool:
    """Tell whether a text says that mail was not delivered."""
    return _EVIDENCE.search(text[:6000]) is not None


def is_delay(text: str) -> bool:
    """Tell whether a report warns that delivery takes longer rather than that it failed."""
    head = text[:4000]
    return _WARNING.search(head) is not None or (_DELAY.search(head) is not None and _GIVEN_UP.search(head) is None)


def read_prose(text: str, named: Iterable[str], excluded: Iterable[str], action: Action) -> tuple[Recipient, ...]:
    """Return the recipients a report for people names, each with the words about it.

    `named` are recipients told by a header (X-Failed-Recipients): then only those count. `excluded` are the addresses
    that stand in the report for another reason: its author and its reader.
    """
    lines = [line[:_MAX_LINE] for line in text.split("\n")[:_MAX_LINES]]
    skipped = {address.lower() for address in excluded if address}
    found = _by_position(lines, skipped)
    wanted = [address for address in named if "@" in address]
    if wanted:
        where = {one.address.lower(): one for one in _every_address(lines)} | {
            one.address.lower(): one for one in found
        }
        found = [where.get(address.lower(), _Found(address, -1, "")) for address in wanted]
        found = [_Found(address, one.line, one.rest) for address, one in zip(wanted, found, strict=True)]
    starts = {one.line for one in found}
    return tuple(_recipient(one, lines, starts, action) for one in found[:_MAX_RECIPIENTS])


def about(text: str, address: str, action: Action) -> Recipient:
    """Return a recipient the report does not name, with what the report says."""
    lines = [line[:_MAX_LINE] for line in text.split("\n")[:_MAX_LINES]]
    return _recipient(_Found(address, -1, ""), lines, set(), action)


def _by_position(lines: list[str], skipped: set[str]) -> list[_Found]:
    for read in (_alone, _labelled, _towards, _in_sentence):
        found = _collect(lines, read)
        kept = [one for one in found if one.address.lower() not in skipped and not is_machine(one.address)]
        if kept:
            return kept
    return []


def _collect(lines: list[str], read: Callable[[str], list[tuple[str, str]]]) -> list[_Found]:
    found: dict[str, _Found] = {}
    for number, line in enumerate(lines):
        if "@" not in line:
            continue
        for address, rest in read(line):
            cleaned = clean_address(address)
            found.setdefault(cleaned.lower(), _Found(cleaned, number, rest))
        if len(found) >= _MAX_RECIPIENTS:
            break
    return list(found.values())


def _alone(line: str) -> list[tuple[str, str]]:
    match = _ALONE.match(line)
    if match is not None:
        at = line.find("(")
        return [(match[1], line[at:].strip("() :") if at >= 0 else "")]
    match = _REPLIED.match(line)
    if match is not None:
        return [(match[1], line.strip())]
    match = _LEADING.match(line)
    if match is None:
        return []
    bracketed = match[1] or match[2]
    certain = bracketed or line.find(":", match.end(3)) == match.end(3) or line.startswith(" on ", match.end(3))
    return [(bracketed or match[3], match[4])] if certain or _SENTENCE.search(match[4]) else []


def _labelled(line: str) -> list[tuple[str, str]]:
    match = _LABEL.match(line)
    return [] if match is None else [(match[1], line[match.end() :].lstrip("> "))]


def _towards(line: str) -> list[tuple[str, str]]:
    match = _TOWARDS.search(line)
    return [] if match is None or _NOT_OURS.search(line[: match.start(1)]) is not None else [(match[1], line)]


def _in_sentence(line: str) -> list[tuple[str, str]]:
    if _SENTENCE.search(line) is None or _NOT_OURS.search(line) is not None:
        return []
    return [(found[0], line) for found in ADDRESS.finditer(line)]


def _every_address(lines: list[str]) -> list[_Found]:
    return _collect(
        lines, lambda line: [(found[0], line[found.end() :].lstrip("> :")) for found in ADDRESS.finditer(line)]
    )


def bare_recipients(text: str, domain: str, action: Action) -> tuple[Recipient, ...]:
    """Return recipients a report lists by their local parts alone, beneath a line that announces them."""
    lines = [line[:_MAX_LINE] for line in text.split("\n")[:_MAX_LINES]]
    found: list[Recipient] = []
    announced = False
    for number, line in enumerate(lines):
        match = _BARE.match(line) if announced else None
        if match is not None:
            found.append(_recipient(_Found(f"{match[1]}@{domain}", number, ""), lines, set(), action))
        elif line.strip():
            announced = _INTRODUCES.search(line) is not None
    return tuple(found[:_MAX_RECIPIENTS])


def _recipient(one: _Found, lines: list[str], starts: set[int], action: Action) -> Recipient:
    own = _own_words(one, lines, starts)
    transcript, certain = _transcript(one.address, lines)
    diagnostic = own
    if not (smtp_code(own) or status_in(own)) and (certain or len(starts) < 2 or not _EVIDENCE.search(own)):
        diagnostic = f"{own} {transcript}".strip()
    if not transcript and not _EVIDENCE.search(own) and not smtp_code(own):
        diagnostic = f"{own} {_squeeze(lines)}".strip()
    diagnostic = diagnostic[:_MAX_DIAGNOSTIC]
    status = status_in(diagnostic) or (status_in(transcript) if certain else "")
    return Recipient(one.address, action, status, smtp_code(diagnostic), diagnostic, phase_of(diagnostic))


def _own_words(one: _Found, lines: list[str], starts: set[int]) -> str:
    if one.line < 0:
        return ""
    if _REPLIED.match(one.rest):
        return " ".join([*_said_before(lines, one.line), one.rest])[:_MAX_DIAGNOSTIC]
    words = [one.rest] if one.rest else []
    blank_allowed = not words
    for number in range(one.line + 1, min(len(lines), one.line + 1 + _BLOCK_LINES)):
        line = lines[number].strip()
        if number in starts or re.match(r"-{3,}", line):
            break
        if not line:
            if blank_allowed:
                continue
            break
        blank_allowed = False
        words.append(line)
    return " ".join(words)[:_MAX_DIAGNOSTIC]


def _said_before(lines: list[str], number: int) -> list[str]:
    """Sendmail prints the other host's words (<<<) above its own summary for the recipient."""
    said = lines[number - 1].strip() if number else ""
    return [said.removeprefix("<<<").strip()] if said.startswith("<<<") else []


def _transcript(address: str, lines: list[str]) -> tuple[str, bool]:
    """Return the reply to the command that named the address, else the first reply of failure; whether it is its own."""
    low = address.lower()
    first = ""
    for number, line in enumerate(lines):
        reply = _TRANSCRIPT_REPLY.match(line)
        if reply is None:
            continue
        words = " ".join([reply[1], *_continued(lines, number)])
        around = " ".join(lines[max(0, number - 2) : number + 1]).lower()
        if low in around or low in words.lower():
            return words, True
        first = first or words
    return first, False


def _continued(lines: list[str], number: int) -> list[str]:
    rest: list[str] = []
    for line in lines[number + 1 : number + 5]:
        if not line.strip() or line.startswith(">>>"):
            break
        rest.append(line.strip())
    return rest


def _squeeze(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())[:_MAX_DIAGNOSTIC]
