"""Domain names: internationalized ones as ASCII (UTS 46, RFC 5890 section 2.3.2.1), and registrable domains. Pure.

A compact rule finds registrable domains, instead of the public suffix list. It recognises that `www.shop.example` and
`t.shop.example` have one owner. Below rare suffixes it errs, and a link is then tracked or not tracked wrongly.
"""

import idna

PREFIX = "xn--"
"""Start of an A-label."""

_SECOND_LEVEL = {
    "ar": "com edu gob gov int mil net org",
    "au": "asn com edu gov id net org",
    "br": "adv blog com edu eco gov ind net org",
    "cn": "ac com edu gov net org",
    "co": "com edu gov net nom org",
    "hk": "com edu gov idv net org",
    "hu": "co info org",
    "id": "ac co go my net or sch web",
    "il": "ac co gov muni net org",
    "in": "ac co edu firm gen gov ind net nic org res",
    "jp": "ac ad co ed go gr lg ne or",
    "ke": "ac co go info me ne or sc",
    "kr": "ac co go ne or pe re",
    "mx": "com edu gob net org",
    "my": "com edu gov name net org",
    "ng": "com edu gov name net org sch",
    "nz": "ac co geek gen govt iwi kiwi maori net org school",
    "pe": "com edu gob net nom org",
    "ph": "com edu gov net ngo org",
    "pk": "com edu gov net org",
    "pl": "biz com edu gov info net org",
    "pt": "com edu gov org",
    "ru": "com msk net org pp spb",
    "sa": "com edu gov med net org",
    "sg": "com edu gov net org per",
    "th": "ac co go in mi net or",
    "tr": "bel biz com edu gen gov info name net org web",
    "tw": "com edu gov idv net org",
    "ua": "co com edu gov in kiev kyiv lviv net org",
    "uk": "ac co gov ltd me net nhs org plc police sch",
    "ve": "co com info net org web",
    "vn": "com edu gov net org",
    "za": "ac co gov law net nom org web",
}

"""Second-level labels below which domains are registered, by top-level domain."""

_SUFFIXES = frozenset(f"{second}.{top}" for top, seconds in _SECOND_LEVEL.items() for second in seconds.split())


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


def registrable(host: str) -> str:
    """Return the registrable domain of a host name, in lower case; addresses and single labels as they are."""
    name = host.lower().rstrip(".")
    labels = name.split(".")
    if len(labels) < 3 or labels[-1].isdigit() or name.startswith("["):
        return name
    count = 3 if ".".join(labels[-2:]) in _SUFFIXES else 2
    return ".".join(labels[-count:])


def is_suffix(host: str) -> bool:
    """Whether registrations are made below a host in lower case, by the same rule: "com", "co.uk"."""
    if host.startswith("[") or host.rpartition(".")[2].isdigit() or host == "localhost":
        return False
    return "." not in host or host in _SUFFIXES
