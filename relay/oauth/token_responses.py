"""Answers of a token endpoint (RFC 6749 section 5): a token, or why there is none. Pure."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from math import isnan
from typing import Any
from urllib.parse import quote_plus

from relay.config.masking import mask_secrets

SHORTEST_LIFE = 60.0
"""Seconds of a token that is taken as valid for no time, or for an unknown one."""

DEFAULT_LIFE = 3600.0
"""Seconds of a token whose answer has no `expires_in`."""

_MAX_LIFETIME = 86400.0

_TEXT = 300
"""Characters of a text of the endpoint that are kept."""

_FOR_NOW = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
"""Errors that end by themselves."""

_BUSY = frozenset({408, 425, 429})
"""Statuses below 500 that end by themselves (RFC 9110 section 15.5.9, RFC 8470, RFC 6585)."""

_OF_REQUEST = frozenset({400, 401})
"""Statuses of an endpoint that refuses the request (RFC 6749 section 5.2). Others without an OAuth error come from a
proxy or firewall before it, which may be mended without a change here."""

_TOKEN = re.compile(r"[!-~]{1,16384}")
"""What a token may be made of, and its length (RFC 6749 appendix A.12 and A.17)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token of the endpoint. `life` is in seconds, `refresh_token` "" if there is no new one."""

    access_token: str = field(repr=False)
    life: float
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """No token. `is_final`: it will not be given before somebody changes something."""

    error: str
    text: str = ""
    code: str = ""
    """Number of Microsoft's, such as "AADSTS7000222"."""
    is_final: bool = True

    def __str__(self) -> str:
        return f"{self.error}: {self.text}" if self.text else self.error

    @property
    def kind(self) -> str:
        """What stays the same when the failure is repeated: the text may have an id of the request."""
        return f"{self.error} {self.code}".strip()


def parse_answer(status: int, body: bytes, secrets: Collection[str] = ()) -> Grant | Refusal:
    """Return the token of an answer, or why there is none. Its texts do not show the secrets of the request."""
    values = _object(body)
    has_error = values is not None and isinstance(values.get("error"), str)
    # Some endpoints send their errors with status 200.
    if status == 200 and values is not None and not has_error:
        return _grant(values)
    may_end = status >= 500 or status in _BUSY
    if values is None or not has_error:
        is_final = status in _OF_REQUEST
        # The body of a success may have tokens, in a form that is not read.
        text = "" if 200 <= status < 300 else body.decode("utf-8", "replace")
        return Refusal(f"HTTP {status}", _printed(text, secrets), is_final=is_final)
    error, text = _printed(values["error"], secrets), _printed(str(values.get("error_description", "")), secrets)
    found = re.search(r"AADSTS\d+", text)
    return Refusal(error, text, found[0] if found else "", is_final=not may_end and error not in _FOR_NOW)


def unreachable(reason: str, secrets: Collection[str] = ()) -> Refusal:
    """Return that there was no answer."""
    return Refusal("no answer", _printed(reason, secrets), is_final=False)


def _grant(values: dict[str, Any]) -> Grant | Refusal:
    token, kind = values.get("access_token"), values.get("token_type", "Bearer")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        return Refusal("the answer has no access token", is_final=False)
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return Refusal("the token is of another kind than Bearer", is_final=False)
    refresh = values.get("refresh_token")
    if refresh is not None and (not isinstance(refresh, str) or _TOKEN.fullmatch(refresh) is None):
        refresh = None
    return Grant(token, _life(values.get("expires_in")), refresh or "")


def _life(value: object) -> float:
    """Return the seconds of `expires_in`, which some servers write as text."""
    try:
        seconds = float(value) if isinstance(value, str | int | float) else DEFAULT_LIFE
    except (ValueError, OverflowError):
        seconds = DEFAULT_LIFE
    return DEFAULT_LIFE if isnan(seconds) else min(max(seconds, SHORTEST_LIFE), _MAX_LIFETIME)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _printed(text: str, secrets: Collection[str]) -> str:
    """Return a text on one line, without control characters and these secrets, cut."""
    # Before the cut: the beginning of a secret would not be found.
    text = mask_secrets(text, [*secrets, *map(quote_plus, secrets)])
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _TEXT else f"{line[: _TEXT - 1]}…"
