"""SASL responses with an access token: XOAUTH2, and OAUTHBEARER (RFC 7628). Pure."""

import json
from base64 import b64decode
from collections.abc import Collection
from typing import Literal

Mechanism = Literal["XOAUTH2", "OAUTHBEARER"]

MAX_ERROR = 300
"""Characters of the error of a server to keep, when what it repeats of the token is masked."""


def choose_mechanism(offered: Collection[str]) -> Mechanism:
    """Return the mechanism for a server: XOAUTH2, and OAUTHBEARER where only that is offered."""
    names = {name.upper() for name in offered}
    return "OAUTHBEARER" if "OAUTHBEARER" in names and "XOAUTH2" not in names else "XOAUTH2"


def initial_response(mechanism: Mechanism, username: str, token: str, host: str, port: int) -> bytes:
    """Return the initial response, not encoded as base64."""
    if mechanism == "XOAUTH2":
        return f"user={username}\x01auth=Bearer {token}\x01\x01".encode()
    name = username.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 section 4: saslname
    return f"n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01".encode()


def error_response(mechanism: Mechanism) -> bytes:
    """Return the response to the error of a server, after which it refuses (RFC 7628 section 3.2.3)."""
    return b"" if mechanism == "XOAUTH2" else b"\x01"


def error_text(challenge: bytes) -> str:
    """Return the error of a server, a challenge of JSON, on one line; "" if there is none."""
    try:
        values = json.loads(challenge)
        return json.dumps(values) if isinstance(values, dict) else ""
    except (ValueError, RecursionError):
        return ""


def decode_challenge(text: str) -> bytes:
    """Return the octets of a challenge in base64, b"" for one that is none."""
    try:
        return b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return b""


class Responses:
    """The responses of a client to challenges: the token, then the end of the dialogue after an error."""

    def __init__(self, mechanism: Mechanism, first: bytes) -> None:
        self._mechanism = mechanism
        self._first: bytes | None = first
        self.error = ""
        """What the server sent before it refused."""

    def __call__(self, challenge: bytes) -> bytes:
        """Return the response to a challenge."""
        if self._first is not None:
            response, self._first = self._first, None
            return response
        self.error = error_text(challenge)
        return error_response(self._mechanism)
