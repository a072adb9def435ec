"""Links that open a door by themselves: password resets, magic logins, one-time codes, verifications.

Who holds such a link holds the account, and scanners that follow a redirect can use it up: it should pass through
as few hands as possible. A link is taken for one when its path or a parameter name says so and it carries a secret,
which is a parameter value or a path segment that nobody would write by hand.
"""

import re

_SPLIT = re.compile(r"[/?#&;]")
_WORDS = re.compile(r"[a-z]+|2fa")
_TELLING = re.compile(
    r"2fa|activat(?:e|ion)|auth(?:enticate|orize)?|confirm(?:ation)?|invit(?:e|ation)|log[io]n|magic(?:link)?|mfa|onetime|"
    r"otp|passcode|passkey|passw(?:or)?d(?:less)?|pwd|recover(?:y)?|reset|sign(?:in|up)|sso|validate|verif(?:y|ication)"
)
_JOINED = re.compile(
    r"(?:reset|forgot|change|set|new|choose|recover)(?:your)?pass(?:word|wd)?|magiclink|onetime|"
    r"(?:verify|confirm|validate|activate)(?:your)?(?:e?mail|account|address|registration|user)|(?:email|account)"
    r"(?:verification|confirmation|activation|verify|confirm)|(?:sign|log)in|passwordreset"
)
_SECRET = re.compile(r"[A-Za-z0-9_\-.~%+]{16,}")
_SHORT_CODE = re.compile(r"\d{4,10}")
_CODE_NAME = re.compile(r"(?:verification|one_?time_?)?code|otp|pin|passcode")


def is_sensitive(url: str) -> bool:
    """Tell whether a plain http(s) URL looks like one that opens a door."""
    path = url[url.find("//") + 2 :].partition("/")[2]
    pieces = _SPLIT.split(path)
    names = [piece.partition("=")[0].lower() for piece in pieces]
    if not any(_tells(name) for name in names):
        return False
    return any(_is_secret(*_named(piece)) for piece in pieces)


def _named(piece: str) -> tuple[str, str]:
    name, equals, value = piece.partition("=")
    return (name.lower(), value) if equals else ("", piece)


def _tells(name: str) -> bool:
    words = _WORDS.findall(name)
    return any(map(_TELLING.fullmatch, words)) or _JOINED.search("".join(words)) is not None


def _is_secret(name: str, value: str) -> bool:
    """Tell whether the value is random rather than written: long, and digits among letters or both cases mixed."""
    if _CODE_NAME.fullmatch(name) and _SHORT_CODE.fullmatch(value):
        return True
    for run in _SECRET.findall(value):
        digits = sum(char.isdigit() for char in run)
        upper = sum(char.isupper() for char in run)
        lower = sum(char.islower() for char in run)
        words = run.replace("-", " ").replace("_", " ").replace(".", " ").split()
        longest = max(map(len, words), default=0)
        if longest >= 12 and digits >= 2 and upper + lower:
            return True
        if longest >= 16 and (digits >= 16 or (upper >= 3 and lower >= 3)):
            return True
        if digits >= 8 and len(run) >= 32:
            return True
    return False
