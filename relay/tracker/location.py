"""The value of a Location header for a link's target (RFC 9110 section 10.2.2). Pure."""

import re

from yarl import URL

_WEB = re.compile(r"(https?://)([^/?#\\]*)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"((?:.*@)?)(.*?)((?::[0-9]*)?)", re.DOTALL)
_NOT_VISIBLE = re.compile(r"[^!-~]")
_DROPPED_BY_BROWSERS = str.maketrans("", "", "\t\r\n")


def location(target: str) -> str | None:
    """Return the target as visible ASCII, or None when it is not an http or https URL with a host.

    A target of visible ASCII comes back as it is. In others what a browser does on a click is done (WHATWG URL, basic
    URL parser): blanks around are dropped, tabs and line ends inside, too; the host becomes A-labels; whatever else is
    not visible ASCII is percent-encoded UTF-8. So no value can end the header line.
    """
    text = target.strip("".join(map(chr, range(0x21)))).translate(_DROPPED_BY_BROWSERS)
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
