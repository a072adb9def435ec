"""Parses SMTP commands and their parameters, including xtext (RFC 5321, RFC 3461)."""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal, get_args

from relay.frozen import dataclass
from relay.mail.address import MAX_LOCAL_PART, PLAIN_ADDRESS, AddressError, parse_address, quote_dots, strip_route
from relay.mail.reply import Reply
from relay.mail.transaction import BodyKind, Envelope, Notify, Recipient

_PATH = r'(?:<((?>(?:"(?>(?:[^"\\]|\\.)*)"|[^<>"])*))>|([^\s<>]+))(?: +(.*))?'

_FROM = re.compile(rf"FROM: ?{_PATH}", re.IGNORECASE)

_TO = re.compile(rf"TO: ?{_PATH}", re.IGNORECASE)

_PLAIN_FROM = re.compile(rf"FROM:<({PLAIN_ADDRESS})>()(?: +(.*))?")

_PLAIN_TO = re.compile(rf"TO:<({PLAIN_ADDRESS})>()(?: +(.*))?")
"""The usual forms, which need no further look at the path unless it is long. They have the groups of the others."""

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")

_GREETINGS = (b"EHLO", b"HELO")

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")

_CHUNK = re.compile(r"([0-9]{1,20})(?: +(LAST))?", re.IGNORECASE)

_UNSAFE_IN_RECEIVED = re.compile(r'[\s()<>@,;\\"\x7f-\U0010ffff]+')

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")

_ENCODED = re.compile(rb"\+([0-9A-F]{2})")

MAX_LABEL = 63

MAX_HELO = 255

MAX_ENVID = 100

MAX_ORCPT = 500
"""Octets (RFC 1035 section 2.3.4, RFC 3461 sections 4.4 and 4.2). HELO has the limit of a domain name."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line: the verb in upper case and its argument without surrounding blanks."""

    verb: str
    argument: str


@dataclass(frozen=True, slots=True)
class MailCommand:
    """MAIL: an envelope without recipients, and the declared size in octets, 0 if not declared."""

    envelope: Envelope
    size: int


@dataclass(frozen=True, slots=True)
class BdatCommand:
    """BDAT: octets of the chunk, and whether it is the last."""

    size: int
    last: bool


def parse_line(raw: bytes) -> CommandLine | Reply:
    """Parse a command line without its line end. Control characters are refused, but for those in a greeting."""
    text = raw.decode("utf-8", "replace")
    if not (text.isascii() and text.isprintable()):
        if raw[:4].upper() in _GREETINGS:
            # The name of a client is masked whatever its encoding is: it is no reason to refuse mail.
            text = _CONTROLS.sub(" ", raw.decode("ascii", "replace"))
        elif text.encode() != raw:
            return Reply(501, "5.5.2", "Commands are ASCII, or UTF-8 where SMTPUTF8 allows it")
        if not text.isprintable():
            return Reply(501, "5.5.2", "Control characters have no place in a command")
    verb, _, argument = text.strip(" ").partition(" ")
    return CommandLine(verb.upper(), argument.lstrip(" ")) if verb else Reply(500, "5.5.2", "Empty command")


def parse_helo(argument: str) -> str | Reply:
    """Return the name of EHLO or HELO as one word that is safe in a Received field.

    A client is not refused for the name of its machine (RFC 5321 section 4.1.4). Unsafe characters become "_", and a
    longer name than a domain can have is cut.
    """
    if not argument:
        return Reply(501, "5.5.4", "Syntax: EHLO hostname, a domain name or an address in brackets")
    return _UNSAFE_IN_RECEIVED.sub("_", argument[:MAX_HELO])


def parse_mail(argument: str, *, lenient: bool = False) -> MailCommand | Reply:
    """Parse the argument of MAIL: `FROM:<reverse-path> [parameters]`. `lenient`: see `quote_dots`."""
    plain = _plain(_PLAIN_FROM, argument)
    match = plain or _FROM.fullmatch(argument)
    if match is None:
        return Reply(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")

    words = _parameters(match[3], ("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"))
    if isinstance(words, Reply):
        return words

    path = _path(match, lenient=lenient) if plain is None else plain[1]
    fault = _mail_fault(words) if words else None
    if path and plain is None:
        fault = fault or _path_fault(path, "5.1.7", "SMTPUTF8" in words)
    if fault is not None:
        return fault
    if not words:
        return MailCommand(Envelope(path), 0)

    body: BodyKind = "8BITMIME" if words.get("BODY", "").upper() == "8BITMIME" else "7BIT"
    ret: Literal["", "FULL", "HDRS"] = {"FULL": "FULL", "HDRS": "HDRS"}.get(words.get("RET", "").upper(), "")  # type: ignore[assignment]
    envelope = Envelope(path, (), body, "SMTPUTF8" in words, ret, words.get("ENVID", ""))
    return MailCommand(envelope, int(words.get("SIZE", 0)))


def parse_rcpt(argument: str, hostname: str, *, smtputf8: bool, lenient: bool = False) -> Recipient | Reply:
    """Parse the argument of RCPT: `TO:<forward-path> [parameters]`.

    `<postmaster>` without a domain is completed with `hostname` (RFC 5321 section 4.5.1). `lenient`: see `quote_dots`.
    """
    plain = _plain(_PLAIN_TO, argument)
    if plain is not None and not plain[3]:
        return Recipient(plain[1])
    match = plain or _TO.fullmatch(argument)
    if match is None:
        return Reply(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]")

    words = _parameters(match[3], ("NOTIFY", "ORCPT"))
    if isinstance(words, Reply):
        return words

    path = _path(match, lenient=lenient)
    if path.lower() == "postmaster":
        path = f"{path}@{hostname}"

    notify = _notify(words["NOTIFY"]) if "NOTIFY" in words else ()
    if isinstance(notify, Reply):
        return notify

    return _rcpt_fault(words) or _path_fault(path, "5.1.3", smtputf8) or Recipient(path, notify, words.get("ORCPT", ""))


def _plain(form: re.Pattern[str], argument: str) -> re.Match[str] | None:
    """Return the match of a usual form whose path no length limit refuses, None without one."""
    plain = form.fullmatch(argument)
    return plain if plain is not None and len(plain[1]) <= MAX_LOCAL_PART else None


def _path(match: re.Match[str], *, lenient: bool) -> str:
    path = strip_route(match[1] or match[2] or "")
    return quote_dots(path) if lenient else path


def parse_bdat(argument: str) -> BdatCommand | Reply:
    """Parse the argument of BDAT: `size [LAST]`.

    After a syntax error the chunk would be read as commands, so 521 ends the connection.
    """
    match = _CHUNK.fullmatch(argument)
    if match is None:
        return Reply(521, "5.5.4", "Syntax: BDAT size [LAST]; closing, since chunk and commands cannot be separated")
    return BdatCommand(int(match[1]), match[2] is not None)


def decode_xtext(text: str) -> str | None:
    """Decode xtext; None if it is invalid or contains characters that are not printable."""
    if not _XTEXT.fullmatch(text):
        return None
    octets = _ENCODED.sub(lambda match: bytes([int(match[1], 16)]), text.encode("ascii"))
    try:
        decoded = octets.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return decoded if decoded.isprintable() else None


def _parameters(text: str | None, known: Iterable[str]) -> dict[str, str] | Reply:
    """Parse the parameters, by upper-case keyword; "" for one without a value (RFC 5321 section 4.1.2)."""
    words: dict[str, str] = {}
    for word in text.split() if text else ():
        keyword, equals, value = word.partition("=")
        name = keyword.upper()
        if not _KEYWORD.fullmatch(keyword) or "=" in value or (equals and not value):
            return Reply(501, "5.5.4", "Parameters are KEYWORD or KEYWORD=value, separated by blanks")
        if name not in known:
            return Reply(555, "5.5.4", f"Parameter {name[:30]} is not known here")
        if name in words:
            return Reply(501, "5.5.4", f"Parameter {name} is there twice")
        words[name] = value
    return words


def _mail_fault(words: dict[str, str]) -> Reply | None:
    for name, value in words.items():
        allowed = ""
        match name:
            case "SIZE" if not (value.isascii() and value.isdigit() and len(value) <= 20):
                allowed = "SIZE=octets, at most 20 digits"
            case "BODY" if value.upper() not in ("7BIT", "8BITMIME"):
                allowed = "BODY=7BIT or BODY=8BITMIME"
            case "SMTPUTF8" if value:
                allowed = "SMTPUTF8 without a value"
            case "RET" if value.upper() not in ("FULL", "HDRS"):
                allowed = "RET=FULL or RET=HDRS"
            case "ENVID" if not value or len(value) > MAX_ENVID or decode_xtext(value) is None:
                allowed = f"ENVID=xtext, at most {MAX_ENVID} octets"
            case "AUTH" if not value or (value != "<>" and decode_xtext(value) is None):
                allowed = "AUTH=<> or AUTH=xtext"
        if allowed:
            return Reply(501, "5.5.4", f"Right would be {allowed}")

    return None


def _rcpt_fault(words: dict[str, str]) -> Reply | None:
    if "ORCPT" not in words:
        return None
    kind, _, encoded = words["ORCPT"].partition(";")
    if len(words["ORCPT"]) <= MAX_ORCPT and _KEYWORD.fullmatch(kind) and decode_xtext(encoded):
        return None
    return Reply(501, "5.5.4", f"Right would be ORCPT=type;xtext, at most {MAX_ORCPT} octets")


def _notify(value: str) -> tuple[Notify, ...] | Reply:
    words = dict.fromkeys(value.upper().split(","))
    wanted = tuple(word for word in get_args(Notify) if word in words)
    if len(wanted) != len(words) or ("NEVER" in words and len(words) > 1):
        return Reply(501, "5.5.4", "Right would be NOTIFY=NEVER, or a list of SUCCESS, FAILURE, DELAY")
    return wanted


def _path_fault(path: str, status: str, smtputf8: bool) -> Reply | None:
    """Return why a path is not a mailbox, None if it is. `status` is the enhanced code for bad syntax."""
    if not path:
        return Reply(501, status, "An address is needed here")

    try:
        domain = parse_address(path).domain
    except AddressError as error:
        return Reply(553, status, f"Not an address: {error}")

    if not smtputf8 and not path.isascii():
        return Reply(553, "5.6.7", "An address that is not ASCII needs the SMTPUTF8 parameter of MAIL")
    if domain.startswith("["):
        return (
            None if _is_literal(domain[1:-1]) else Reply(501, status, "Not an address: no IP address in the brackets")
        )
    if len(domain) > MAX_LABEL and any(len(label) > MAX_LABEL for label in domain.split(".")):
        return Reply(553, status, f"Not an address: a label of the domain is longer than {MAX_LABEL} octets")

    return None


def _is_literal(text: str) -> bool:
    """Whether the text is an IP address as written in brackets (RFC 5321 section 4.1.3)."""
    try:
        IPv6Address(text[5:]) if text[:5].lower() == "ipv6:" else IPv4Address(text)
    except AddressValueError:
        return False
    return True
