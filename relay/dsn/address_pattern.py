"""Addresses as reports and replies print them."""

import re

_MARKS = (
    r"\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u055a-\u055f\u0589\u060c\u060d\u061b-\u061f\u066a-\u066d"
    r"\u06d4\u0964\u0965\u0e5a\u0e5b\u2000-\u200b\u200e-\u206f\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\u303d-\u303f"
    r"\u30fb\ufe10-\ufe1f\ufe30-\ufe6f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffff"
)
"""Punctuation, blanks and symbols outside ASCII, not allowed in domain labels (RFC 5891 section 4.2.2)."""

_LETTER_OUTSIDE_ASCII = rf"[^\x00-\x7f{_MARKS}\U00010000-\U0010ffff]"
"""Negated: a set with a range of many characters takes Python milliseconds to compile."""

_LETTER = rf"(?:[A-Za-z0-9]|{_LETTER_OUTSIDE_ASCII})"

_INNER = rf"(?:[A-Za-z0-9_-]|{_LETTER_OUTSIDE_ASCII})"

_DOMAIN_LABEL = rf"{_LETTER}{_INNER}{{0,62}}"

_CJK = r"\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3"

ADDRESS = re.compile(
    rf"(?:\"[^\"\n]{{1,64}}\"|[^\s<>()\[\],;:\"'=|\\@{_MARKS}]{{1,80}})@"
    rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL}){{0,10}}|\[[0-9A-Fa-f.:]{{3,45}}\])"
)
"""An address as printed in reports; less strict than RFC 5321 where real mail is."""

_RUN_ON = re.compile(rf"(?:[{_CJK}]{{1,40}})?([!-~]{{1,64}}@[!-~]{{1,250}}?\.[A-Za-z]{{2,24}})(?:[{_CJK}].{{0,80}})?$")
"""An ASCII address within text of a script without spaces."""

_MACHINES = re.compile(
    r"(?:mailer-?daemon|mail-?daemon|postmaster|double-bounce|abuse|hostmaster|mdaemon|listserv|majordomo)@",
    re.IGNORECASE,
)


def clean_address(text: str) -> str:
    """Return the address in a field value or word, without brackets, comment, quotes or route."""
    value = text.strip()
    if value.lower().startswith(("mailto:", "smtp:", "rfc822:")):
        value = value.partition(":")[2].strip()

    opened = value.find("<")
    if opened >= 0:
        inside = value[opened + 1 :].partition(">")[0].strip()
        value = inside or value
    if value.startswith("@") and ":" in value:
        value = value.partition(":")[2]

    match = ADDRESS.search(value)
    if match is not None:
        found = match[0].rstrip(".")
        run_on = _RUN_ON.match(found)
        return found if run_on is None else run_on[1]

    word = value.split()[0] if value.split() else ""
    address = word.strip("<>()\"';,")[:254]
    return address if any(map(str.isalnum, address)) else ""


def is_mail_system(address: str) -> bool:
    """Whether an address belongs to a mail system, not a person."""
    return _MACHINES.match(address) is not None
