"""Internationalized domain names as ASCII (UTS 46, RFC 5890 section 2.3.2.1). Pure."""

import idna

PREFIX = "xn--"
"""Start of an A-label."""


def to_ascii(domain: str) -> str | None:
    """Return the domain in lower case and A-labels; None if it contains a character not allowed in domains.

    Labels are mapped without the transitional rules (ß stays ß), as registries and Postfix do. They are not checked
    against the tables of IDNA 2008, because domains outside these tables resolve too.
    """
    if domain.isascii():
        return domain.lower()
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
        return ".".join(map(_label, mapped.split("."))).lower()
    except (idna.IDNAError, UnicodeError):
        return None


def to_unicode(address: str) -> str:
    """Return an address or domain with its A-labels as U-labels, to be shown; labels that are no valid ones stay."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{'.'.join(map(_shown_label, domain.split('.')))}"


def _shown_label(label: str) -> str:
    if not label.lower().startswith(PREFIX):
        return label
    try:
        shown = label[len(PREFIX) :].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    return shown if shown.isprintable() and to_ascii(shown) == label.lower() else label


def _label(label: str) -> str:
    return label if label.isascii() else PREFIX + label.encode("punycode").decode("ascii")
