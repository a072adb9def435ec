"""Addresses in running text: found with bounds, cleaned of what reports put around them."""

import re

_LABEL = r"[A-Za-z0-9\u0080-\uffff][A-Za-z0-9_\u0080-\uffff-]{0,62}"
ADDRESS = re.compile(
    r"(?:\"[^\"\n]{1,64}\"|[^\s<>()\[\],;:\"'=|\\@]{1,80})@"
    rf"(?:{_LABEL}(?:\.{_LABEL}){{0,10}}|\[[0-9A-Fa-f.:]{{3,45}}\])"
)
"""An address as reports print it; looser than RFC 5321 where real mail is."""

_MACHINES = re.compile(
    r"(?:mailer-?daemon|mail-?daemon|postmaster|double-bounce|abuse|hostmaster|mdaemon|listserv|majordomo)@",
    re.IGNORECASE,
)


def clean_address(text: str) -> str:
    """Return the address in a field value or a bracketed word, without brackets, comment, quotes or route."""
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
        return match[0].rstrip(".")
    word = value.split()[0] if value.split() else ""
    return word.strip("<>()\"';,")[:254]


def is_machine(address: str) -> bool:
    """Tell whether an address belongs to a mail system rather than to a person."""
    return _MACHINES.match(address) is not None
