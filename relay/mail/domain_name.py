"""Domain names: internationalized ones as ASCII (UTS 46, RFC 5890 section 2.3.2.1), and registrable domains. Pure.

A compact rule finds registrable domains, instead of the public suffix list. It recognises that `www.shop.example` and
`t.shop.example` have one owner. Below rare suffixes it errs, and a link is then tracked or not tracked wrongly.
"""

from collections.abc import Collection

import idna

PREFIX = "xn--"
"""Start of an A-label."""

_SECOND_LEVEL = {
    "ar": "com edu gob gov int mil net org",
    "at": "ac co gv or",
    "au": "asn com edu gov id net org",
    "bd": "com edu gov net org",
    "bo": "com edu gob net org",
    "br": "adv blog com edu eco gov ind net org",
    "cn": "ac com edu gov net org",
    "co": "com edu gov net nom org",
    "cr": "ac co ed fi go or",
    "cy": "ac com gov net org",
    "do": "com edu gob net org",
    "ec": "com edu fin gob info net org",
    "eg": "com edu gov net org",
    "es": "com edu gob nom org",
    "fr": "asso com gouv nom",
    "ge": "com edu gov net org",
    "gh": "com edu gov org",
    "gr": "com edu gov net org",
    "gt": "com edu gob net org",
    "hk": "com edu gov idv net org",
    "hr": "com from iz name",
    "hu": "co info org",
    "id": "ac co go my net or sch web",
    "il": "ac co gov muni net org",
    "in": "ac co edu firm gen gov ind net nic org res",
    "ir": "ac co gov id net org",
    "it": "edu gov",
    "jo": "com edu gov net org",
    "jp": "ac ad co ed go gr lg ne or",
    "ke": "ac co go info me ne or sc",
    "kh": "com edu gov net org",
    "kr": "ac co go ne or pe re",
    "kw": "com edu gov net org",
    "kz": "com edu gov net org",
    "lb": "com edu gov net org",
    "lk": "ac com edu gov net org",
    "ma": "ac co gov net org",
    "mk": "com edu gov net org",
    "mt": "com edu net org",
    "mx": "com edu gob net org",
    "my": "com edu gov name net org",
    "mz": "ac co gov net org",
    "ng": "com edu gov name net org sch",
    "ni": "com edu gob net org",
    "np": "com edu gov net org",
    "nz": "ac co geek gen govt iwi kiwi maori net org school",
    "om": "co com edu gov net org",
    "pa": "ac com edu gob net org",
    "pe": "com edu gob net nom org",
    "ph": "com edu gov net ngo org",
    "pk": "com edu gov net org",
    "pl": "biz com edu gov info net org",
    "pr": "com edu gov net org",
    "pt": "com edu gov org",
    "py": "com edu gov net org",
    "qa": "com edu gov net org",
    "ro": "com info nom org",
    "rs": "ac co edu gov in org",
    "ru": "com msk net org pp spb",
    "sa": "com edu gov med net org",
    "sg": "com edu gov net org per",
    "sv": "com edu gob org",
    "th": "ac co go in mi net or",
    "tn": "com gov net org",
    "tr": "bel biz com edu gen gov info name net org web",
    "tw": "com edu gov idv net org",
    "tz": "ac co go ne or",
    "ua": "co com edu gov in kiev kyiv lviv net org",
    "ug": "ac co com go ne or org",
    "uk": "ac co gov ltd me net nhs org plc police sch",
    "uy": "com edu gub net org",
    "uz": "co com net org",
    "ve": "co com info net org web",
    "vn": "com edu gov net org",
    "za": "ac co gov law net nom org web",
    "zm": "ac co com edu gov net org",
    "zw": "ac co gov org",
}
"""Second-level labels below which domains are registered, by top-level domain."""

_SUFFIXES = frozenset(f"{second}.{top}" for top, seconds in _SECOND_LEVEL.items() for second in seconds.split())

_GENERIC = frozenset(second for seconds in _SECOND_LEVEL.values() for second in seconds.split())

_SHARED_NAMES = (
    "afraid.org amazonaws.com appspot.com azurewebsites.net blogspot.com cloudapp.net ddns.net dedyn.io "
    "duckdns.org dyndns.org dynu.net dynv6.net fly.dev freeddns.org github.io gitlab.io herokuapp.com "
    "homeip.net hopto.org mooo.com myftp.org netlify.app no-ip.org nsupdate.info onrender.com pages.dev "
    "selfhost.eu spdns.org strangled.net sytes.net vercel.app web.app workers.dev zapto.org "
)
"""Domains below which services give names to anybody."""

_SHARED = frozenset(_SHARED_NAMES.split())


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


def organisation(host: str) -> str:
    """Return the registrable domain of a host name; the name itself if strangers may have names beside it.

    For proofs: two names with one organisation certainly have one owner. Whatever may be a suffix counts as one. These
    are short or generic labels below a country's domain, two letters below others, and names that services give away.
    """
    found = registrable(host)
    return host.lower().rstrip(".") if _may_be_suffix(found) else found


def _may_be_suffix(name: str) -> bool:
    label, _, top = name.rpartition(".")
    is_short = len(label) <= (3 if len(top) == 2 else 2)
    return "." not in label and (is_short or label in _GENERIC or name in _SHARED)


def speaks_for(signer: str, name: str) -> bool:
    """Whether the owner of `signer` certainly owns the name: it is the same, above or below, or of its organisation.

    A name speaks for none above it that may be a suffix: `evil.github.io` is not of the owner of `github.io`.
    """
    first, second = signer.lower().rstrip("."), name.lower().rstrip(".")
    if not (first and second):
        return False
    is_above, is_below = f".{second}".endswith(f".{first}"), f".{first}".endswith(f".{second}")
    return is_above or (is_below and not _may_be_suffix(second)) or organisation(first) == organisation(second)


def is_below_any(host: str, names: Collection[str]) -> bool:
    """Whether one of these names in lower case is above the host."""
    labels = host.lower().rstrip(".").split(".")
    return any(".".join(labels[count:]) in names for count in range(1, len(labels)))


def is_suffix(host: str) -> bool:
    """Whether registrations are made below a host in lower case, by the same rule: "com", "co.uk"."""
    if host.startswith("[") or host.rpartition(".")[2].isdigit() or host == "localhost":
        return False
    return "." not in host or host in _SUFFIXES
