"""Masks the secrets in URLs, so that no output shows them."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

MASK = "***"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(.*)", re.DOTALL)

_PARAMETER = re.compile(r"(?<=[?&#;])([^=&#;]+)=(.*?)(?=[&#;][^=&#;]+=|$)", re.DOTALL)
"""A parameter; its value ends before the next one, because a secret may have unescaped "&" and "#"."""

_KEYWORD = re.compile(r"(?<!\w)(\w++)(\s*+=\s*)('(?:[^'\\]|\\.)*'?|\S+)", re.DOTALL)
"""A keyword of libpq with its value."""

_SCHEMELESS = re.compile(r"^([^@\s:]*+):(?!\s).*@", re.DOTALL)
"""The user of a URL that lacks its "//", up to the password."""

_SECRET_NAME = re.compile(r"pass|secret|token|pwd|credential|api_?key|signature", re.IGNORECASE)
"""Names of parameters with a secret value, such as `password` and `sslpassword`."""

_HOST_AND_PORT = re.compile(r"[^:]*(?::\d*)?|\[[^]]*\](?::\d*)?")

_NOT_SECRET = frozenset({"passfile"})


def mask_url(text: str) -> str:
    """Return a URL without the password of its user and without secret parameters.

    Text that is meant as one is masked too: without a scheme, or as the keywords of libpq. Other text is unchanged.

    A password with unescaped "/", "?" or "@" is masked too: all from the first colon to the last "@" counts as one.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return _SCHEMELESS.sub(rf"\1:{MASK}@", _KEYWORD.sub(_masked_keyword, text), count=1)
    scheme, rest = found.groups()
    rest = _PARAMETER.sub(_masked_parameter, rest)
    user, at, host = rest.rpartition("@")
    if at and _is_in_query(rest, len(user)):
        before, _, _ = rest.partition("?")
        user, at, _ = before.rpartition("@")
        host = rest[len(user) + 1 :]
    if not at or ":" not in user:
        return scheme + rest
    return f"{scheme}{user.partition(':')[0]}:{MASK}@{host}"


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text of another program without these secrets: it may repeat what it was sent."""
    for secret in secrets:
        text = text.replace(secret, MASK) if secret else text
    return text


def _masked_parameter(found: re.Match[str]) -> str:
    name = unquote(found[1])
    return f"{found[1]}={MASK}" if _SECRET_NAME.search(name) and name not in _NOT_SECRET and found[2] else found[0]


def _masked_keyword(found: re.Match[str]) -> str:
    is_secret = _SECRET_NAME.search(found[1]) and found[1] not in _NOT_SECRET
    return f"{found[1]}{found[2]}{MASK}" if is_secret else found[0]


def _is_in_query(rest: str, at: int) -> bool:
    """Return whether the "@" belongs to the value of a parameter, and not to an unescaped password."""
    question = rest.find("?")
    if not -1 < question < at or "=" not in rest[question:at]:
        return False
    before = rest[:question]
    return "@" in before or _HOST_AND_PORT.fullmatch(before.partition("/")[0]) is not None
