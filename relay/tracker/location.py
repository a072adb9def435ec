"""The value of the Location field. Pure."""

import re

from yarl import URL

_USUAL = re.compile(r"https?://(?![/?#\\])[!-~]+")
"""A URL of the web with a host, of visible ASCII: it is not changed."""

_BLANKS = "".join(map(chr, range(0x21)))

_WEB = re.compile(r"(https?://)([^/?#\\]*)(.*)", re.IGNORECASE | re.DOTALL)

_AUTHORITY = re.compile(r"((?:.*@)?)(.*?)((?::[0-9]*)?)", re.DOTALL)

_NOT_VISIBLE = re.compile(r"[^!-~]")

_DROPPED_BY_BROWSERS = str.maketrans("", "", "\t\r\n")


def location(target: str) -> str | None:
    """Return the target as visible ASCII, or None if it is not an http or https URL with a host.

    A target of visible ASCII is not changed. Others are changed as a browser does on a click (WHATWG URL, basic URL
    parser). Blanks at the ends, and tabs and line ends anywhere, are removed. The host becomes A-labels. Other
    characters are percent-encoded as UTF-8. So no value can end the header line.
    """
    if _USUAL.fullmatch(target):
        return target
    text = target.strip(_BLANKS).translate(_DROPPED_BY_BROWSERS)
    match = _WEB.fullmatch(text)
    if match is None or not match[2]:
        return None
    scheme, authority, rest = match.groups()
    if not authority.isascii():
        authority = _ascii_authority(authority)
    return scheme + _encoded(authority) + _encoded(rest)


def _ascii_authority(authority: str) -> str:
    match = _AUTHORITY.fullmatch(authority)
    assert match is not None
    user, host, port = match.groups()
    try:
        host = URL.build(scheme="http", host=host).raw_host or host
    except ValueError:
        pass
    return user + host + port


def _encoded(text: str) -> str:
    return _NOT_VISIBLE.sub(_percent, text)


def _percent(char: "re.Match[str]") -> str:
    scalar = "\ufffd" if "\ud800" <= char[0] <= "\udfff" else char[0]
    return "".join(f"%{octet:02X}" for octet in scalar.encode())
