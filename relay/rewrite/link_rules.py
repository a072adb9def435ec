"""Rules for links that stay untracked: links that grant access by themselves, and links that show another host."""

import re
from html import unescape

_PATH_START = re.compile(r"[/?#]")

_SPLIT = re.compile(r"[/?#&;]")

_WORDS = re.compile(r"[a-z]+|2fa")

STEMS = (
    *("2fa", "activ", "auth", "confirm", "invit", "log", "magic", "mfa", "one", "otp", "pass", "pwd", "recover"),
    *("reset", "sign", "sso", "valid", "verif"),
)
"""Stems of all sensitive words. They are searched first, because most links contain none."""

_SENSITIVE_NAME = re.compile(
    r"(?<![a-z])(?:2fa|activat(?:e|ion)|auth(?:enticate|orize)?|confirm(?:ation)?|invit(?:e|ation)|log-?[io]n|mfa|otp|"
    r"magic(?:-?link)?|one-?time|passcode|passkey|passw(?:or)?d(?:less)?|pwd|recover(?:y)?|reset|sign-?(?:in|up)|sso|"
    r"validate|verif(?:y|ication)|password-?reset|(?:reset|forgot|change|set|new|choose|recover)-?(?:your-?)?pass(?:word|wd)?|"
    r"(?:verify|confirm|validate|activate)-?(?:your-?)?(?:e-?mail|account|address|registration|user)|"
    r"(?:e-?mail|account)-?(?:verification|confirmation|activation|verify|confirm))(?![a-z])"
)

_DIGITS = re.compile(r"[=/]\d{4,10}(?!\w)")

_CODE = re.compile(r"\b(?:(?:verification|one_?time_?)?code|otp|pin|passcode)[=/]\d{4,10}\b", re.IGNORECASE)

_RUN = re.compile(r"[A-Za-z0-9_\-.~%+]{16,}")

_SEPARATOR = re.compile(r"[-_.~%+]")

_MAX_TEXT = 2048
"""Octets of the HTML of a link that is checked for a visible host, at most."""

_MARKUP = re.compile(rb"<!--.*?-->|<[^>]*+>", re.DOTALL)

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200d\u2060\ufeff]")

_SPACE = re.compile(r"\s+")

_TOP = (
    r"[a-z]{2}|com|net|org|edu|gov|mil|int|info|biz|name|mobi|app|dev|cloud|online|site|shop|store|blog|tech|agency|"
    r"email|news|live|world|today|life|test|example|xn--[a-z0-9-]+"
)
"""Top-level domains of a host that is shown without a scheme."""

_SHOWN = re.compile(
    r"(?:https?://(?:[^/?#@\s]*@)?(?P<url_host>[\w.-]+)|(?P<bare_host>www\.[\w.-]+|(?:[\w-]+\.)+(?:" + _TOP + r")))"
    r"(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
"""A text that is a URL or a host."""


def is_sensitive(url: str) -> bool:
    """Whether a plain http(s) URL seems to grant access by itself: a sensitive word with a code or a random run."""
    start = _PATH_START.search(url, len("https://"))
    path = url[start.end() :] if start is not None else ""
    lower = path.lower()
    if not any(stem in lower for stem in STEMS):
        return False
    has_code = _DIGITS.search(path) is not None and _CODE.search(path) is not None
    if not has_code and not any(map(_is_random, _RUN.findall(path))):
        return False
    return any(_is_sensitive_name(piece.partition("=")[0]) for piece in _SPLIT.split(lower))


def _is_sensitive_name(name: str) -> bool:
    return _SENSITIVE_NAME.search("-".join(_WORDS.findall(name))) is not None


def _is_random(run: str) -> bool:
    """Whether a run of URL characters seems random: with digits among letters, or with mixed cases."""
    longest = max(map(len, _SEPARATOR.split(run)))
    digits = sum(map(str.isdigit, run))
    upper = sum(map(str.isupper, run))
    lower = sum(map(str.islower, run))
    has_digits_in_letters = longest >= 12 and digits >= 2 and upper + lower > 0
    has_mixed_characters = longest >= 16 and (digits >= 16 or (upper >= 3 and lower >= 3))
    return has_digits_in_letters or has_mixed_characters or (digits >= 8 and len(run) >= 32)


def shown_host(text: bytes) -> str:
    """Return the host that is the whole visible text of a link, "" for any other text."""
    if b"." not in text or len(text) > _MAX_TEXT:
        return ""
    shown = unescape(_MARKUP.sub(b"", text).decode("utf-8", "replace"))
    shown = _SPACE.sub(" ", _INVISIBLE.sub("", shown)).strip(" <>()[]\"'.,;:!")
    match = _SHOWN.fullmatch(shown)
    if match is None:
        return ""
    host: str = match["url_host"] or match["bare_host"]
    return host.lower().rstrip(".")
