"""What no single value can be wrong about: settings that contradict each other or refer to what is not there.

Pure: settings in, findings out. `contradictions` make a configuration unusable, `doubts` are worth a warning.
"""

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from relay.config.errors import Problem, closest
from relay.config.settings import Defaults, Identity, Listener, Settings
from relay.config.toml_positions import KeyPath
from relay.mail.canonical import domain_of
from relay.mail.lane import DIRECT

_SMALLEST_V4, _SMALLEST_V6 = 8, 16
"""Prefixes shorter than these take in so much of the internet that relaying for them is an open relay."""


SHORTEST_SECRET = 16
"""Characters of the dashboard's secret."""


def find_errors(settings: Settings) -> Iterator[Problem]:
    """Yield everything that makes these settings unusable."""
    yield from _listeners(settings)
    yield from _providers(settings)
    yield from _provider_names(settings)
    yield from _limits(settings)
    yield from _dashboard(settings)
    yield from _queue(settings)
    if settings.storage.password.get_secret_value() and settings.sqlite_path is not None:
        yield Problem(("storage", "password"), "SQLite has none", "no password, or a postgresql:// URL")
    for address, identity in settings.identities.items():
        yield from _identity(settings, address, identity)


def find_warnings(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed but probably not meant."""
    for index, listener in enumerate(settings.listeners):
        yield from _listener_doubts(settings, ("listener", index), listener)
    for index, provider in enumerate(settings.providers):
        if provider.username and provider.tls == "none" and not _is_loopback(provider.host):
            path = ("provider", index, "tls")
            yield Problem(path, "the password travels in the clear", '"starttls" or "implicit"')
    if settings.admin.address and not _is_loopback(settings.admin.host):
        yield Problem(("admin", "address"), "the secret travels in the clear unless a proxy with TLS stands in front")
    if settings.queue.delay_notice >= settings.queue.lifetime:
        yield Problem(("queue", "delay_notice"), "never comes: the message expires before it")
    if (host := urlsplit(settings.tracker.base_url).hostname) in ("0.0.0.0", "::"):  # noqa: S104
        yield Problem(("tracker", "base_url"), f"no reader can reach {host}", "the URL readers reach the tracker by")
    for address, identity in settings.identities.items():
        yield from _reply_doubts(settings, ("identities", address), identity)
    yield from _nothing_comes_back(settings)


def _reply_doubts(settings: Settings, path: KeyPath, identity: Identity) -> Iterator[Problem]:
    if identity.reply_tracking and identity.reply_to:
        problem = "is fixed, so replies are not tracked, although reply_tracking is on"
        yield Problem((*path, "reply_to"), problem, "one of them")
    ours = {
        name for one in (settings.defaults, *settings.domains.values()) for name in (one.reply_domain, one.return_path)
    }
    for index, one in enumerate(identity.forward_to):
        if domain_of(one) in ours:
            problem = f"mail to {domain_of(one)} comes to this relay, which has no mailboxes"
            yield Problem((*path, "forward_to", index), problem, "an address of a mailbox")


def _listeners(settings: Settings) -> Iterator[Problem]:
    names = Counter(listener.name for listener in settings.listeners)
    taken: dict[tuple[str, int], str] = {}
    for index, listener in enumerate(settings.listeners):
        path: KeyPath = ("listener", index)
        if names[listener.name] > 1:
            yield Problem((*path, "name"), f'"{listener.name}" is the name of two listeners', "a name for each")
        if listener.tls != "none" and listener.certificate is None:
            yield Problem((*path, "certificate"), f'is missing: tls = "{listener.tls}" needs it', "a PEM file")
        if listener.kind == "submission":
            yield from _open_relay(path, listener)
        yield from _taken(taken, (*path, "address"), listener.host, listener.port)
    for section in ("tracker", "admin", "metrics"):
        listening = getattr(settings, section)
        if listening.address:
            yield from _taken(taken, (section, "address"), listening.host, listening.port)


def _dashboard(settings: Settings) -> Iterator[Problem]:
    admin, secret = settings.admin, settings.admin.secret.get_secret_value()
    if secret and len(secret) < SHORTEST_SECRET:
        problem = f"has {len(secret)} characters, which can be guessed"
        yield Problem(
            ("admin", "secret"), problem, f"at least {SHORTEST_SECRET}, such as `openssl rand -base64 24` prints"
        )
    if admin.address and not secret and not _is_loopback(admin.host):
        problem = f"{admin.address} would show everybody's mail to whoever can reach it"
        yield Problem(
            ("admin", "address"), problem, 'a loopback address such as "127.0.0.1:8026", or admin.secret beside it'
        )


def _taken(taken: dict[tuple[str, int], str], path: KeyPath, host: str, port: int) -> Iterator[Problem]:
    """Note an address and yield a finding when somebody has it; port 0 is always free."""
    owner = " ".join(str(part + 1) if isinstance(part, int) else part for part in path[:-1])
    if port and (host, port) in taken:
        yield Problem(path, f"{taken[host, port]} listens there already", "an address for each")
    taken.setdefault((host, port), owner)


def _open_relay(path: KeyPath, listener: Listener) -> Iterator[Problem]:
    if _is_loopback(listener.host):
        return
    for index, network in enumerate(listener.allow_networks):
        if network.prefixlen < (_SMALLEST_V4 if network.version == 4 else _SMALLEST_V6):
            problem = f"{network} would make {listener.address} an open relay: anybody may send to anybody"
            yield Problem((*path, "allow_networks", index), problem, "the networks of your own applications")


def _listener_doubts(settings: Settings, path: KeyPath, listener: Listener) -> Iterator[Problem]:
    if listener.kind == "inbound":
        return
    if listener.auth == "required" and not settings.credentials:
        yield Problem((*path, "auth"), "nobody can send here: there are no [credentials]")
    elif listener.auth == "required" and listener.tls == "none" and not _is_loopback(listener.host):
        problem = "AUTH is offered only under TLS or to loopback clients, and this listener has no TLS"
        yield Problem((*path, "auth"), problem, 'tls = "starttls" or "implicit"')
    if listener.tls == "none" and (listener.certificate or listener.key):
        yield Problem((*path, "tls"), 'is "none", so the certificate is not used', '"starttls" or "implicit"')


def _providers(settings: Settings) -> Iterator[Problem]:
    names = Counter(provider.name for provider in settings.providers)
    for index, provider in enumerate(settings.providers):
        path: KeyPath = ("provider", index)
        if provider.name == DIRECT:
            yield Problem((*path, "name"), f'"{DIRECT}" is built in: delivery to the MX hosts', "another name")
        elif names[provider.name] > 1:
            yield Problem((*path, "name"), f'"{provider.name}" is the name of two providers', "a name for each")
        password = provider.password.get_secret_value()
        if provider.username and not password:
            yield Problem((*path, "password"), "is missing: there is a username", "password or password_file")
        elif password and not provider.username:
            yield Problem((*path, "username"), "is missing: there is a password")


def _provider_names(settings: Settings) -> Iterator[Problem]:
    """Yield the names of providers that do not exist. What is inherited is blamed once, on [defaults]."""
    defaults = settings.defaults
    used: list[tuple[KeyPath, str]] = [(("defaults", "provider"), defaults.provider)]
    used += _fallbacks(("defaults",), defaults.fallback_providers)
    for name, domain in settings.domains.items():
        if domain.provider != defaults.provider:
            used.append((("domains", name, "provider"), domain.provider))
        if domain.fallback_providers != defaults.fallback_providers:
            used += _fallbacks(("domains", name), domain.fallback_providers)
    used += ((("identities", key, "provider"), one.provider) for key, one in settings.identities.items())
    known = [DIRECT, *(provider.name for provider in settings.providers)]
    for path, name in used:
        if name and name not in known:
            yield Problem(path, f'there is no [[provider]] "{name}"', ", ".join(known), closest(name, known))


def _fallbacks(path: KeyPath, names: tuple[str, ...]) -> list[tuple[KeyPath, str]]:
    return [((*path, "fallback_providers", index), name) for index, name in enumerate(names)]


def _limits(settings: Settings) -> Iterator[Problem]:
    limits = settings.limits
    yield from _under_ceiling(settings, ("limits", "identity_hourly"), limits.identity_hourly)
    yield from _under_ceiling(settings, ("limits", "identity_daily"), limits.identity_daily)
    for address, identity in settings.senders.identities.items():
        path: KeyPath = ("identities", address)
        if identity.hourly_limit != limits.identity_hourly:
            yield from _under_ceiling(settings, (*path, "hourly_limit"), identity.hourly_limit)
        if identity.daily_limit != limits.identity_daily:
            yield from _under_ceiling(settings, (*path, "daily_limit"), identity.daily_limit)


def _under_ceiling(settings: Settings, path: KeyPath, limit: int) -> Iterator[Problem]:
    ceiling = settings.limits.identity_daily_ceiling
    if ceiling and limit > ceiling:
        yield Problem(path, f"{limit} is over limits.identity_daily_ceiling", f"1 to {ceiling}")
    elif ceiling and limit == 0:
        yield Problem(path, "0 (no limit) is possible only with limits.identity_daily_ceiling = 0", f"1 to {ceiling}")


def _queue(settings: Settings) -> Iterator[Problem]:
    queue = settings.queue
    if queue.lifetime < queue.retry[0]:
        yield Problem(("queue", "lifetime"), "is over before the first retry", "more than the first of queue.retry")


def _identity(settings: Settings, address: str, identity: Identity) -> Iterator[Problem]:
    path: KeyPath = ("identities", address)
    for index, name in enumerate(identity.credentials):
        if name not in settings.credentials:
            known = list(settings.credentials)
            allowed = ", ".join(known) or "a name under [credentials]"
            problem = f"there is no [credentials.{name}]"
            yield Problem((*path, "credentials", index), problem, allowed, closest(name, known))
    if identity.reply_tracking and not identity.reply_to and not settings.domain_for(address).reply_domain:
        yield Problem((*path, "reply_tracking"), "needs the reply_domain of the domain", "reply_domain, or false")


def _nothing_comes_back(settings: Settings) -> Iterator[Problem]:
    if any(listener.kind == "inbound" for listener in settings.listeners):
        return
    tables: list[tuple[KeyPath, Defaults]] = [(("defaults",), settings.defaults)]
    tables += ((("domains", name), domain) for name, domain in settings.domains.items())
    for path, table in tables:
        for key in ("reply_domain",) if settings.bounces.imap else ("return_path", "reply_domain"):
            inherited = len(path) > 1 and getattr(table, key) == getattr(settings.defaults, key)
            if getattr(table, key) and not inherited:
                yield Problem((*path, key), 'no [[listener]] of kind "inbound" takes what comes back to it')


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
