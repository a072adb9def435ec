"""Parses SPF records and expands their macros (RFC 7208 sections 4.6, 5 to 7 and 12). Pure."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal
from urllib.parse import quote

from relay.resolver import IPAddress

Qualifier = Literal["+", "-", "~", "?"]

_TRANSFORMED = r"(?:[1-9][0-9]*)?r?[.\-+,/_=]*\}"

_MACRO = rf"%(?:\{{[slodiphv]{_TRANSFORMED}|[%_-])"

_LITERAL = r"[!-$&-~]"

_TOP_LABEL = r"(?:[a-z0-9-]*[a-z][a-z0-9-]*|[0-9]+-[a-z0-9-]*)(?<!-)"

_MACRO_STRING = re.compile(rf"(?:{_MACRO}|{_LITERAL})*", re.IGNORECASE)

_EXPLANATION = re.compile(rf"(?:%(?:\{{[slodiphvcrt]{_TRANSFORMED}|[%_-])|[ -$&-~])*", re.IGNORECASE)

_DOMAIN_END = re.compile(rf"(?:\.(?!-){_TOP_LABEL}\.?|%\{{[^}}]*\}})\Z", re.IGNORECASE)

_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)

_DIRECTIVE = re.compile(
    r"([+\-~?]?)([a-z][a-z0-9]*)(:[^/]*(?:/[^0-9/][^/]*)*)?((?:/[0-9]+)?(?://[0-9]+)?)", re.IGNORECASE
)

_CIDR = re.compile(r"(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?")

_NEEDS_DOMAIN = {"include", "exists"}

_MAY_HAVE_DOMAIN = {"a", "mx", "ptr"}

_MAY_HAVE_CIDR = {"a", "mx"}

_EXPANSION = re.compile(r"%(?:\{([a-z])([0-9]*)(r?)([.\-+,/_=]*)\}|([%_-]))", re.IGNORECASE)

_ESCAPES = {"%": "%", "_": " ", "-": "%20"}

_MAX_NAME = 253


class SpfSyntaxError(ValueError):
    """The record violates the grammar, a permanent error; the message quotes the term."""


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism with its qualifier. `target` is the domain-spec with macros unexpanded, "" for the domain itself.

    `network` is that of ip4 and ip6; the prefix lengths are those of a and mx.
    """

    text: str
    qualifier: Qualifier
    mechanism: str
    target: str = ""
    network: IPv4Network | IPv6Network | None = None
    prefix_v4: int = 32
    prefix_v6: int = 128


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """The directives in order and the modifiers redirect and exp, "" if absent."""

    directives: tuple[Directive, ...]
    redirect: str = ""
    explanation: str = ""


def is_spf(text: str) -> bool:
    """Whether a TXT record is an SPF record (RFC 7208 section 4.5)."""
    return text[:7].lower() == "v=spf1 " or text.lower() == "v=spf1"


def is_explanation(text: str) -> bool:
    """Whether a TXT record can be an explanation: ASCII with well-formed macros (RFC 7208 section 6.2)."""
    return _EXPLANATION.fullmatch(text) is not None


MAX_RECORD = 8192
"""Octets of a record, at most. DNS can carry 64 KiB, and reading them would delay other mail."""


def parse_spf(text: str) -> SpfRecord:
    """Parse a record for which `is_spf` is true; raise SpfSyntaxError at the first invalid term."""
    if not text.isascii():
        raise SpfSyntaxError("the record holds characters that are not ASCII")

    if len(text) > MAX_RECORD:
        raise SpfSyntaxError(f"the record has more than {MAX_RECORD} octets")

    directives: list[Directive] = []
    modifiers: list[tuple[str, str]] = []
    for term in text[6:].split(" "):
        modifier = _MODIFIER.fullmatch(term)
        if modifier:
            modifiers.append((modifier[1].lower(), modifier[2]))
        elif term:
            directives.append(_directive(term))

    for name, value in modifiers:
        _check_modifier(name, value)

    twice = [name for name, count in Counter(name for name, _ in modifiers).items() if count > 1]
    if {"redirect", "exp"} & set(twice):
        raise SpfSyntaxError(f'"{twice[0]}=" is there more than once')

    known = dict(modifiers)
    return SpfRecord(tuple(directives), known.get("redirect", ""), known.get("exp", ""))


def _check_modifier(name: str, value: str) -> None:
    if name in ("redirect", "exp"):
        _check_domain_spec(f"{name}={value}", value)
    elif not _MACRO_STRING.fullmatch(value):
        raise SpfSyntaxError(f'"{name}={value}" has a macro that is none')


def _directive(term: str) -> Directive:
    match = _DIRECTIVE.fullmatch(term)
    if match is None:
        raise SpfSyntaxError(f'"{term}" is not a mechanism')

    sign, name, argument, cidr = match.groups()
    mechanism = name.lower()
    qualifier: Qualifier = sign or "+"  # type: ignore[assignment]  # the pattern allows nothing else
    if mechanism in ("ip4", "ip6"):
        return Directive(term, qualifier, mechanism, network=_network(term, mechanism, (argument or "") + cidr))
    if mechanism not in {"all"} | _NEEDS_DOMAIN | _MAY_HAVE_DOMAIN:
        raise SpfSyntaxError(f'there is no mechanism "{name}"')
    if argument is None and mechanism in _NEEDS_DOMAIN:
        raise SpfSyntaxError(f'"{term}" lacks its domain')
    if argument is not None:
        if mechanism == "all":
            raise SpfSyntaxError(f'"{term}": all takes no domain')
        _check_domain_spec(term, argument[1:])
    if cidr and mechanism not in _MAY_HAVE_CIDR:
        raise SpfSyntaxError(f'"{term}": {mechanism} takes no prefix length')

    prefix_v4, prefix_v6 = _prefixes(term, cidr)
    return Directive(term, qualifier, mechanism, (argument or ":")[1:], None, prefix_v4, prefix_v6)


def _check_domain_spec(term: str, spec: str) -> None:
    """Check macros and the end: a top-level label or a macro (RFC 7208 section 7.1)."""
    if not _MACRO_STRING.fullmatch(spec):
        raise SpfSyntaxError(f'"{term}" has a macro or a character that cannot stand there')
    if not _DOMAIN_END.search(spec):
        raise SpfSyntaxError(f'"{term}" does not name a domain')


def _network(term: str, mechanism: str, argument: str) -> IPv4Network | IPv6Network:
    address, slash, prefix = argument.removeprefix(":").partition("/")
    if not argument.startswith(":") or (slash and not re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix)):
        raise SpfSyntaxError(f'"{term}" is not a network')
    kind = IPv4Network if mechanism == "ip4" else IPv6Network
    try:
        network = ip_network(argument[1:], strict=False)
    except ValueError:
        raise SpfSyntaxError(f'"{term}" is not a network') from None
    if not isinstance(network, kind) or "%" in address:
        raise SpfSyntaxError(f'"{term}": the address is of the other kind')
    return network


def _prefixes(term: str, cidr: str) -> tuple[int, int]:
    match = _CIDR.fullmatch(cidr)
    if match is None or int(match[1] or 0) > 32 or int(match[2] or 0) > 128:
        raise SpfSyntaxError(f'"{term}": a prefix length is 0 to 32, and //0 to //128 for IPv6')
    return int(match[1] or 32), int(match[2] or 128)


def macro_values(ip: IPAddress, sender: str, helo: str, domain: str) -> dict[str, str]:
    """Return the values of macro letters for the record of `domain`, without %{p}; `sender` is a complete address.

    Receiver and time, allowed in explanations only, have no value.
    """
    local, _, sender_domain = sender.rpartition("@")
    return {
        "s": sender,
        "l": local,
        "o": sender_domain,
        "d": domain,
        "i": dotted(ip),
        "h": helo,
        "v": "in-addr" if ip.version == 4 else "ip6",
        "c": str(ip),
    }


def dotted(ip: IPAddress) -> str:
    """Format an address for %{i}: dotted decimal, or the 32 nibbles of IPv6."""
    return str(ip) if ip.version == 4 else ".".join(ip.exploded.replace(":", "").upper())


def uses_validated_name(text: str) -> bool:
    """Whether the text contains %{p}, which requires look-ups."""
    return any((match[1] or "").lower() == "p" for match in _EXPANSION.finditer(text))


def expand(text: str, known: Mapping[str, str]) -> str:
    """Expand all macros of a well-formed text. An upper-case letter applies URL escapes."""
    return _EXPANSION.sub(lambda match: _expanded(match, known), text)


def expand_domain(text: str, known: Mapping[str, str]) -> str:
    """Expand to a domain name; labels on the left of a name that is too long are dropped (section 7.3)."""
    name = expand(text, known).rstrip(".")
    while len(name) > _MAX_NAME and "." in name:
        name = name.partition(".")[2]
    return name


def _expanded(match: re.Match[str], known: Mapping[str, str]) -> str:
    letter, digits, reverse, delimiters, escape = match.groups()
    if escape:
        return _ESCAPES[escape]
    value = known.get(letter.lower(), "unknown")
    if digits or reverse or delimiters:
        parts = re.split(f"[{re.escape(delimiters or '.')}]", value)
        if reverse:
            parts.reverse()
        value = ".".join(parts[-int(digits) :] if digits else parts)
    return quote(value, safe="") if letter.isupper() else value
