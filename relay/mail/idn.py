"""Internationalized domain names as ASCII (UTS 46, RFC 5890 section 2.3.2.1). Pure."""

import idna

PREFIX = "xn--"
"""Start of an A-label."""


def to_ascii(domain: str) -> str | None:
    """Return the domain in lower case with A-labels for its U-labels; None when a character has no place in a domain.

    Labels are mapped without the transitional rules (ß stays ß), as registries and Postfix do. A label is not checked
    against the tables of IDNA 2008: a domain that resolves is a domain.
    """
    if domain.isascii():
        return domain.lower()
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
        return ".".join(map(_label, mapped.split("."))).lower()
    except (idna.IDNAError, UnicodeError):
        return None


def _label(label: str) -> str:
    return label if label.isascii() else PREFIX + label.encode("punycode").decode("ascii")
