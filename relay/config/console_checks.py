"""Checks of `[console]`: logins in clear text, host names that browsers cannot reach, no people."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from relay.config.errors import Problem, closest
from relay.config.listener_checks import is_loopback
from relay.config.settings import Console, Settings


def console_errors(console: Console) -> Iterator[Problem]:
    """Yield what would send passwords in clear text, or keep every browser out."""
    if console.key is not None and console.certificate is None:
        yield Problem(("console", "certificate"), "is missing: there is a key", "a PEM file")
    if not console.address:
        return
    parts = urlsplit(console.origin)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        path, problem = (
            ("console", "url") if console.url else ("console", "address"),
            "passwords would be in clear text",
        )
        allowed = 'an "https://" url of a proxy with TLS, or a certificate'
        yield Problem(path, f"{console.origin} has no TLS: {problem}, and browsers keep no login", allowed)
    elif console.certificate is None and not is_loopback(console.host):
        problem = f"{console.address} has no TLS, so passwords are in clear text between the proxy and this machine"
        yield Problem(("console", "address"), problem, 'a certificate, or a loopback address such as "127.0.0.1:8027"')
    if parts.scheme == "http" and console.certificate is not None:
        yield Problem(("console", "url"), f"{console.url} has no TLS, but there is a certificate", '"https://…"')


def console_warnings(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed but probably a mistake."""
    console = settings.console
    if console.address and not any(one.role == "owner" for one in console.people.values()):
        problem = "has no owner, so the page of people is closed to all"
        yield Problem(("console", "people"), problem, "relay person new ADDRESS --role owner")
    if console.people and not console.address:
        yield Problem(("console", "address"), "is empty, so no login is possible", 'such as "127.0.0.1:8027"')
    known = list(settings.domains)
    for address, person in console.people.items():
        for index, domain in enumerate(person.domains):
            if domain not in known:
                problem = f"there is no [domains.{domain}]: {address} sees mail of it only if applications send for it"
                path = ("console", "people", address, "domains", index)
                yield Problem(path, problem, ", ".join(known), closest(domain, known))
