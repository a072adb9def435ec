"""Parses the AUTH command and the PLAIN and LOGIN mechanisms (RFC 4954, RFC 4616)."""

import binascii
from base64 import b64decode, b64encode
from dataclasses import field

from relay.frozen import dataclass
from relay.mail.reply import Reply

MECHANISMS = ("PLAIN", "LOGIN")

MALFORMED = Reply(501, "5.5.2", "The response is not valid base64 of what the mechanism asks for")


@dataclass(frozen=True, slots=True)
class Start:
    """AUTH: the mechanism in upper case, and the initial response, still encoded, None if there is none."""

    mechanism: str
    initial: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials of a client. `acting_as` is a different authorization identity, "" for none."""

    username: str
    secret: str = field(repr=False)
    acting_as: str = ""


def parse_auth(argument: str) -> Start | Reply:
    """Parse the argument of AUTH: `mechanism [initial-response]`. Mechanisms are case-insensitive."""
    words = argument.split()
    if not 1 <= len(words) <= 2:
        return Reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
    if words[0].upper() not in MECHANISMS:
        return Reply(504, "5.5.4", f"Mechanism not known here; there are {', '.join(MECHANISMS)}")
    return Start(words[0].upper(), words[1] if len(words) == 2 else None)


def decode_response(text: str) -> str | Reply:
    """Decode a response; "=" stands for an empty one (RFC 4954 section 4)."""
    try:
        return "" if text == "=" else b64decode(text.encode("ascii"), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeError):
        return MALFORMED


def encode_challenge(text: str) -> str:
    """Encode a challenge for reply 334."""
    return b64encode(text.encode()).decode("ascii")


def parse_plain(response: str) -> Login | Reply:
    """Parse a PLAIN response: `[authorization identity] NUL username NUL secret` (RFC 4616 section 2)."""
    parts = response.split("\0")
    if len(parts) != 3:
        return MALFORMED
    acting_as, username, secret = parts
    return Login(username, secret, "" if acting_as == username else acting_as)
