"""Replies made alike: the words stay, what differs from one to the next is masked.

Replies no rule knows are gathered by their masked form, so that ten thousand of them show as the few kinds they are.
"""

import re

from relay.dsn.addresses import ADDRESS

_MAX_TEXT = 1000
_ADDRESS = re.compile(rf"<?{ADDRESS.pattern}>?")
_LINK = re.compile(r"\bhttps?://[^\s<>\"']{1,500}", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:[.\-]\d{1,3}){3}(?![\w.]\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE)
_HOST = re.compile(r"(?<![\w.@-])(?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24}(?![\w-])", re.IGNORECASE)
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]\d)")
_ID = re.compile(r"(?<![\w<])(?=[\w+/-]{6,200}(?![\w+/-]))(?=[\w+/-]{0,200}\d)[\w+/-]{6,200}")
_NUMBER = re.compile(r"(?<![\w.<])\d{1,20}(?![\w.]?\d)")
_CODE = re.compile(r"\s{0,9}([245]\d\d)\b[ -]?")
_SPACE = re.compile(r"\s+")


def mask(text: str) -> str:
    """Return a reply with addresses, links, hosts, ids and numbers masked; its code and enhanced status stay."""
    code = _CODE.match(text)
    rest = text[code.end() if code else 0 :][:_MAX_TEXT]
    statuses = _STATUS.findall(rest)
    rest = _ADDRESS.sub("<address>", _LINK.sub("<link>", rest))
    rest = _IPV6.sub("<ip>", _IPV4.sub("<ip>", _STATUS.sub("<status>", rest)))
    rest = _NUMBER.sub("<n>", _ID.sub("<id>", _HOST.sub("<host>", rest)))
    for status in statuses:
        rest = rest.replace("<status>", status, 1)
    return _SPACE.sub(" ", f"{code[1]} {rest}" if code else rest).strip()
