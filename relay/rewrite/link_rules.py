"""Sensitive links and visible hosts."""

import re
from html import unescape

_PATH_START = re.compile(r"[/?#]")


_SPLIT = re.compile(r"[/?#&;]")


_WORDS = re.compile(r"[a-z]+|2fa")


STEMS = (
    *("2fa", "activ", "auth", "confirm", "invit", "log", "magic", "mfa", "one", "otp", "pass", "pwd", "recover"),
    *("reset", "sign", "sso", "valid", "verif"),
)
"""Without one of these no word tells: looked for first, because most links have none."""


_TELLING = re.compile(
    r"(?<![a-z])(?:2fa|activat(?:e|ion)|auth(?:enticate|orize)?|confirm(?:ation)?|invit(?:e|ation)|log-?[io]n|mfa|otp|"
    r"magic(?:-?link)?|one-?time|passcode|passkey|passw(?:or)?d(?:less)?|pwd|recover(?:y)?|reset|sign-?(?:in|up)|sso|"
    r"validate|verif(?:y|ication)|password-?reset|(?:reset|forgot|change|set|new|choose|recover)-?(?:your-?)?pass(?:word|wd)?|"
    r"(?:verify|confirm|validate|activate)-?(?:your-?)?(?:e-?mail|account|address|registration|user)|"
    r"(?:e-?mail|account)-?(?:verification|confirmation|activation|verify|confirm))(?![a-z])"
)


_DIGITS = re.compile(r"[=/]\d{4,10}(?!\w)")


_CODE = re.compile(r"\b(?:(?:verification|one_?time_?)?code|otp|pin|passcode)[=/]\d{4,10}\b", re.IGNORECASE)


_RUN = re.compile(r"[A-Za-z0-9_\-.~%+]{16,}")


_WRITTEN = re.compile(r"[-_.~%+]")


def is_sensitive(url: str) -> bool:
    """Tell whether a plain http(s) URL looks like one that opens a door."""
    start = _PATH_START.search(url, len("https://"))
    path = url[start.end() :] if start is not None else ""
    lower = path.lower()
    if not any(stem in lower for stem in STEMS):
        return False
    has_code = _DIGITS.search(path) is not None and _CODE.search(path) is not None
    if not has_code and not any(map(_is_random, _RUN.findall(path))):
        return False
    return any(_tells(piece.partition("=")[0]) for piece in _SPLIT.split(lower))


def _tells(name: str) -> bool:
    return _TELLING.search("-".join(_WORDS.findall(name))) is not None


def _is_random(run: str) -> bool:
    """Tell whether a run of URL characters was drawn rather than written: digits among letters, or cases mixed."""
    longest = max(map(len, _WRITTEN.split(run)))
    digits = sum(map(str.isdigit, run))
    upper = sum(map(str.isupper, run))
    lower = sum(map(str.islower, run))
    among_letters = longest >= 12 and digits >= 2 and upper + lower > 0
    mixed = longest >= 16 and (digits >= 16 or (upper >= 3 and lower >= 3))
    return among_letters or mixed or (digits >= 8 and len(run) >= 32)


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
