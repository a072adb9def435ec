"""Checks of a rendered mail: its signatures, and how readers unsubscribe."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from relay.domains.dev_keys import SELECTOR
from relay.domains.relay_keys import Keys
from relay.mail.headers import fields, first_text
from relay.mailauth.dkim_keys import dns_record
from relay.mailauth.dkim_record import key_name, tags_of
from relay.mailauth.dkim_verify import Signature, verify_signatures
from relay.resolver import AddressAnswer, AliasAnswer, IPAddress, Lookups, MxAnswer, NamesAnswer, TextAnswer, Texts

_ONE_CLICK = "list-unsubscribe=one-click"

_FIELDS = frozenset({"list-unsubscribe", "list-unsubscribe-post"})


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict. The states are those of the components: ok, wait, bad."""

    state: str
    text: str


class KeyLookups:
    """DNS with the key of this relay in it, which no DNS has. Implements `Lookups`."""

    def __init__(self, dns: Lookups, keys: Keys) -> None:
        self._dns = dns
        self._keys = keys

    async def txt(self, name: str) -> TextAnswer:
        """Return the record of the own key, else what DNS has."""
        selector, _, domain = name.partition("._domainkey.")
        found = self._keys.dkim.get(domain, ()) if selector == SELECTOR else ()
        if found and name == key_name(SELECTOR, domain):
            return Texts((dns_record(found[0]),))
        return await self._dns.txt(name)

    async def mx(self, domain: str) -> MxAnswer:
        """See `Lookups`."""
        return await self._dns.mx(domain)

    async def addresses(self, host: str, *, ipv6: bool = True) -> AddressAnswer:
        """See `Lookups`."""
        return await self._dns.addresses(host, ipv6=ipv6)

    async def cname(self, name: str) -> AliasAnswer:
        """See `Lookups`."""
        return await self._dns.cname(name)

    async def ptr(self, address: IPAddress) -> NamesAnswer:
        """See `Lookups`."""
        return await self._dns.ptr(address)


async def dkim_checks(dns: Lookups, content: bytes) -> Sequence[Check]:
    """Return a line for each signature, or that there is none."""
    found = await verify_signatures(dns, content)
    if not found:
        return (Check("bad", "There is no DKIM signature."),)
    return tuple(map(_signature_check, found))


def _signature_check(one: Signature) -> Check:
    state = "ok" if one.result == "pass" else "bad"
    return Check(state, f"{one.result}: {one.domain}, selector {one.selector}: {one.why}.")


def unsubscribe_checks(content: bytes) -> Sequence[Check]:
    """Return whether readers can unsubscribe by a button of their mail program (RFC 2369, RFC 8058)."""
    found = fields(content)
    listed = first_text(content, found, b"list-unsubscribe")
    if not listed:
        return (Check("wait", "There is no List-Unsubscribe field. Mail without X-Relay-Campaign needs none."),)
    checks = []
    uris = re.findall(r"<([^<>\s]+)>", listed)
    web = [one for one in uris if one.lower().startswith(("https:", "http:"))]
    mail = [one for one in uris if one.lower().startswith("mailto:")]
    checks.append(Check("ok", ", ".join(uris)) if uris else Check("bad", "It has no address."))
    post = first_text(content, found, b"list-unsubscribe-post").replace(" ", "").lower()
    if web and not any(one.lower().startswith("https:") for one in web):
        checks.append(Check("wait", "One click (RFC 8058) needs an https address: set tracker.base_url in production."))
    elif post == _ONE_CLICK and web:
        checks.append(Check("ok", "One click is offered (RFC 8058)."))
    elif web:
        text = "List-Unsubscribe-Post: List-Unsubscribe=One-Click is missing, which Gmail and Yahoo require."
        checks.append(Check("bad", text))
    if not mail:
        checks.append(Check("wait", "There is no mailto address, which older mail programs use."))
    checks.append(_signed_fields(content))
    return tuple(checks)


def _signed_fields(content: bytes) -> Check:
    """Return whether a signature covers the fields, which RFC 8058 section 4 requires."""
    found = fields(content)
    signature = tags_of(first_text(content, found, b"dkim-signature"))
    signed = {one.strip().lower() for one in signature.get("h", "").split(":")}
    present = {one.name.decode("ascii", "replace") for one in found} & _FIELDS
    if missing := sorted(present - signed):
        return Check("bad", f"No DKIM signature covers {' and '.join(missing)} (RFC 8058 section 4).")
    return Check("ok", f"A DKIM signature covers {' and '.join(sorted(present))}.")
