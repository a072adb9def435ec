"""What a reader takes a link for: the URL or host name that is its visible text.

When that names another domain than the link goes to, mail programs warn of a fraud; so a link whose text is a URL
stays what it says.
"""

import re
from html import unescape

_LONGEST = 2048
_MARKUP = re.compile(rb"<!--.*?-->|<[^>]*+>", re.DOTALL)
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200d\u2060\ufeff]")
_SPACE = re.compile(r"\s+")
_TOP = (
    r"[a-z]{2}|com|net|org|edu|gov|mil|int|info|biz|name|mobi|app|dev|cloud|online|site|shop|store|blog|tech|agency|"
    r"email|news|live|world|today|life|test|example|xn--[a-z0-9-]+"
)
_SHOWN = re.compile(
    r"(?:https?://(?:[^/?#@\s]*@)?(?P<url_host>[\w.-]+)|(?P<bare_host>www\.[\w.-]+|(?:[\w-]+\.)+(?:" + _TOP + r")))"
    r"(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)


def shown_host(text: bytes) -> str:
    """Return the host that the HTML between the tags of a link shows as its whole text, "" when it shows none."""
    if b"." not in text or len(text) > _LONGEST:
        return ""
    shown = unescape(_MARKUP.sub(b"", text).decode("utf-8", "replace"))
    shown = _SPACE.sub(" ", _INVISIBLE.sub("", shown)).strip(" <>()[]\"'.,;:!")
    match = _SHOWN.fullmatch(shown)
    if match is None:
        return ""
    host: str = match["url_host"] or match["bare_host"]
    return host.lower().rstrip(".")
