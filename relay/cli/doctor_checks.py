"""The checks of `relay doctor`: the machine, DNS, certificates, the tracker, providers."""

import asyncio
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.config import Settings
from relay.config.certificates import WARNING_DAYS, CertificateError, read_certificate
from relay.config.connections import Provider
from relay.delivery.login_check import check_login
from relay.disk_space import RESERVE, space_of
from relay.domains.check import check, check_relay_host
from relay.domains.finding import Finding, Status
from relay.domains.key_files import read_keys
from relay.domains.records import DkimKey, SendingDomain, records, sending_domain
from relay.mail.lane import DIRECT
from relay.mailauth.dkim_keys import dns_record
from relay.resolver import Addresses, Hosts, Lookups, Resolver

TIMEOUT = 10.0
"""Seconds to wait for a server."""

LOW_SPACE = 1 << 30
"""Octets free below which the disk is reported."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found, and what to do about it."""

    check: str
    status: Status
    text: str


def check_certificates(settings: Settings, now: float) -> Iterator[Result]:
    """Yield the validity of the certificates of the listeners."""
    for listener in settings.listeners:
        if listener.certificate is None or listener.tls == "none":
            continue
        try:
            days = read_certificate(listener.certificate, listener.key).days_left(now)
        except CertificateError as error:
            yield Result("certificate", "wrong", f"{listener.name}: {error.problem}")
            continue
        status: Status = "wrong" if days < 0 else "warning" if days < WARNING_DAYS else "ok"
        yield Result("certificate", status, f"{listener.name}: {days:.0f} days left")


def check_disk(settings: Settings) -> Result:
    """Return whether data_dir has space."""
    folder = next(one for one in (settings.server.data_dir, *settings.server.data_dir.parents) if one.is_dir())
    _, free = space_of(folder / "relay.db")
    status: Status = "wrong" if free < RESERVE else "warning" if free < LOW_SPACE else "ok"
    return Result("disk", status, f"{free >> 20} MiB are free for {settings.server.data_dir}")


def check_clock() -> Result:
    """Return whether the clock of this machine is synchronised, as systemd says."""
    program = shutil.which("timedatectl")
    if program is None:
        return Result("clock", "unknown", "no timedatectl here: see that the clock is synchronised (NTP)")
    command = [program, "show", "--property=NTPSynchronized", "--value"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False).stdout.strip()  # noqa: S603
    if said == "yes":
        return Result("clock", "ok", "synchronised")
    if said == "no":
        return Result("clock", "warning", "not synchronised: install chrony or enable systemd-timesyncd")
    return Result("clock", "unknown", "systemd does not answer: see that the clock is synchronised (NTP)")


async def check_dns(settings: Settings, dns: Lookups) -> list[Result]:
    """Return what is wrong with the records of the host name and the sending domains."""
    if not settings.domains:
        return _of_findings(
            settings.server.hostname, await check_relay_host(dns, SendingDomain("", settings.server.hostname))
        )
    found: list[Result] = []
    for name, domain in settings.domains.items():
        keys = read_keys(settings.server.data_dir, name, domain.dkim.selectors)
        about = sending_domain(settings, name, [DkimKey(key.selector, dns_record(key)) for key in keys])
        found += _of_findings(name, await check(about, records(about), dns))
    return found


def _of_findings(name: str, findings: tuple[Finding, ...]) -> list[Result]:
    """Return the findings that are not ok, or one that all are."""
    faults = [one for one in findings if one.status != "ok"]
    if not faults:
        return [Result("dns", "ok", f"{name}: all {len(findings)} records are as they should be")]
    return [Result("dns", one.status, f"{one.kind} {one.name}: {one.text}".strip()) for one in faults]


async def check_port_25(settings: Settings, dns: Lookups, domain: str) -> Result | None:
    """Return whether the MX of a domain can be reached; None if all mail leaves by providers."""
    senders = [settings.defaults, *settings.senders.domains.values()]
    if all(DIRECT not in (one.provider, *one.fallback_providers) for one in senders):
        return None
    answer = await dns.mx(domain)
    host = answer.hosts[0].name if isinstance(answer, Hosts) else ""
    found = await dns.addresses(host, ipv6=False) if host else None
    if not isinstance(found, Addresses):
        return Result("port 25", "unknown", f"DNS has no MX of {domain} now")
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(str(found.addresses[0]), settings.delivery.port)
        writer.close()
    except (OSError, TimeoutError) as error:
        text = f"no connection to {host} ({error or 'timeout'}): ask the hosting company to open it, or use a provider"
        return Result("port 25", "wrong", text)
    return Result("port 25", "ok", f"{host} answers")


def check_tracking(base_url: str) -> Result:
    """Return whether the tracker answers under a base URL."""
    if urlsplit(base_url).hostname in ("127.0.0.1", "localhost", "::1"):
        return Result("tracking", "warning", f"readers cannot reach {base_url}: set tracker.base_url")
    try:
        with urllib.request.urlopen(f"{base_url}/healthz", timeout=TIMEOUT) as answer:  # noqa: S310 - a checked URL
            relays = answer.headers.get("Server") == "relay" or b'"checks"' in answer.read(1000)
    except urllib.error.HTTPError as error:
        return Result("tracking", "wrong", f"{base_url} answers {error.code}: does its proxy lead to tracker.address?")
    except (OSError, ValueError) as error:
        return Result("tracking", "wrong", f"{base_url} does not answer ({error}): is the relay running?")
    if relays:
        return Result("tracking", "ok", f"{base_url} leads to the tracker")
    return Result("tracking", "wrong", f"another server answers at {base_url}: let its proxy lead to tracker.address")


async def check_provider(settings: Settings, provider: Provider, dns: Resolver) -> Result:
    """Return whether a provider takes the login. Nothing is sent."""
    found = await check_login(provider, settings, dns)
    match found.result:
        case "login":
            return Result("provider", "ok", f"{provider.name}: takes the login")
        case "answer":
            return Result("provider", "ok", f"{provider.name}: answers")
        case "unknown":
            return Result("provider", "unknown", f"{provider.name}: {found.text}; try relay send-test")
    return Result("provider", "wrong", f"{provider.name}: {found.server}: {found.text}. {found.hint}".rstrip(". "))
