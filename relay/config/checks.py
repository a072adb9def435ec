"""Checks across settings: values that contradict each other, or refer to names that do not exist.

Pure functions of the settings. `find_errors` yields problems that make a configuration unusable, `find_warnings`
those that do not.
"""

from collections.abc import Iterator

from relay.config.console_checks import console_errors, console_warnings
from relay.config.errors import Problem, closest
from relay.config.listener_checks import duplicate_names, find_listener_errors, find_listener_warnings, is_loopback
from relay.config.oauth_checks import oauth_errors
from relay.config.settings import Defaults, Identity, Settings
from relay.config.sites import shipped_sites
from relay.config.toml_positions import KeyPath
from relay.config.webhook_checks import webhook_errors, webhook_warnings
from relay.mail.canonical_address import domain_of
from relay.mail.lane import DIRECT, SIMULATOR

SHORTEST_SECRET = 16
"""Characters of the console's secret, at least."""

_GLOBAL = (
    'is "global": an unsubscribe excludes from every campaign of this relay, of all sending domains; until version 0.1 '
    "it excluded from those of its own domain",
    '"domain" for the campaigns of one domain, else "global"',
)

_WITHOUT_CAMPAIGN_PROVIDER = ("has no effect: there is no campaign_provider", "campaign_provider as well")


def find_errors(settings: Settings) -> Iterator[Problem]:
    """Yield the problems that make these settings unusable."""
    yield from find_listener_errors(settings)
    yield from _providers(settings)
    yield from _provider_names(settings)
    yield from _mailbox(settings)
    yield from oauth_errors(settings)
    yield from _sites(settings)
    yield from _limits(settings)
    yield from _console(settings)
    yield from console_errors(settings.console)
    yield from _queue(settings)
    if settings.spam.rspamd and settings.spam.spamd:
        yield Problem(("spam", "spamd"), "is set, and rspamd too", "one of them")
    if settings.storage.password.get_secret_value() and settings.sqlite_path is not None:
        yield Problem(
            ("storage", "password"), "is set, but SQLite has no password", "no password, or a postgresql:// URL"
        )
    for address, identity in settings.identities.items():
        yield from _identity(settings, address, identity)
    yield from duplicate_names("webhook", [webhook.name for webhook in settings.webhooks])
    for index, webhook in enumerate(settings.webhooks):
        yield from webhook_errors(("webhook", index), webhook)


def find_warnings(settings: Settings) -> Iterator[Problem]:
    """Yield settings that are allowed but probably a mistake."""
    yield from find_listener_warnings(settings)
    yield from console_warnings(settings)
    for index, provider in enumerate(settings.providers):
        if provider.username and provider.tls == "none" and provider.oauth is None and not is_loopback(provider.host):
            path = ("provider", index, "tls")
            yield Problem(path, "the password is sent in clear text", '"starttls" or "implicit"')

    yield from _site_warnings(settings)
    for index, webhook in enumerate(settings.webhooks):
        yield from webhook_warnings(("webhook", index), webhook)
    if settings.api.address and not is_loopback(settings.api.host):
        yield Problem(("api", "address"), "keys and events are sent in clear text unless a proxy adds TLS")
    if settings.admin.address and not is_loopback(settings.admin.host):
        yield Problem(("admin", "address"), "the secret is sent in clear text unless a proxy adds TLS")
    if settings.queue.delay_notice >= settings.queue.lifetime:
        yield Problem(("queue", "delay_notice"), "is never sent: the message expires first")
    yield from _campaign_warnings(settings)
    for address, identity in settings.identities.items():
        yield from _reply_warnings(settings, ("identities", address), identity)
    yield from _inbound_warnings(settings)
    if settings.bounces.address:
        yield from _bounce_address_warnings(settings)


def _campaign_warnings(settings: Settings) -> Iterator[Problem]:
    for path, table in _sender_tables(settings):
        if table.exclusion == "global":
            yield Problem((*path, "exclusion"), *_GLOBAL)
        inherited = settings.defaults.campaign_provider
        if table.campaign_fallback_providers and not (table.campaign_provider or inherited):
            yield Problem((*path, "campaign_fallback_providers"), *_WITHOUT_CAMPAIGN_PROVIDER)


def _sender_tables(settings: Settings) -> Iterator[tuple[KeyPath, Defaults]]:
    """Yield [defaults] and the tables of the sending domains."""
    yield ("defaults",), settings.defaults
    for name, domain in settings.domains.items():
        yield ("domains", name), domain


def _reply_warnings(settings: Settings, path: KeyPath, identity: Identity) -> Iterator[Problem]:
    if identity.reply_tracking and identity.reply_to:
        problem = "is fixed, so replies are not tracked, although reply_tracking is on"
        yield Problem((*path, "reply_to"), problem, "one of them")
    elif identity.forward_to and identity.reply_to:
        problem = "is fixed, so replies are not tracked, and forward_to gets none"
        yield Problem((*path, "reply_to"), problem, "one of them")

    sections = (settings.defaults, *settings.domains.values())
    own_domains = {name for section in sections for name in (section.reply_domain, section.return_path)}
    for index, target in enumerate(identity.forward_to):
        if domain_of(target) in own_domains:
            problem = f"mail to {domain_of(target)} is received by this relay, which has no mailboxes"
            yield Problem((*path, "forward_to", index), problem, "an address of a mailbox")


def _console(settings: Settings) -> Iterator[Problem]:
    admin, secret = settings.admin, settings.admin.secret.get_secret_value()
    if secret and len(secret) < SHORTEST_SECRET:
        problem = f"has {len(secret)} characters, so it can be guessed"
        yield Problem(
            ("admin", "secret"), problem, f"at least {SHORTEST_SECRET}, for example from `openssl rand -base64 24`"
        )
    if admin.address and not secret and not is_loopback(admin.host):
        problem = f"{admin.address} exposes all mail to every client that can connect"
        yield Problem(
            ("admin", "address"), problem, 'a loopback address such as "127.0.0.1:8026", or admin.secret as well'
        )


def _providers(settings: Settings) -> Iterator[Problem]:
    names = [provider.name for provider in settings.providers]
    yield from duplicate_names("provider", names)
    for index, provider in enumerate(settings.providers):
        path: KeyPath = ("provider", index)
        if provider.name == DIRECT:
            yield Problem((*path, "name"), f'"{DIRECT}" is built in: delivery to the MX hosts', "another name")
        if provider.name == SIMULATOR:
            yield Problem((*path, "name"), f'"{SIMULATOR}" is built in: the receiver of [simulator]', "another name")

        password = provider.password.get_secret_value()
        if provider.username and not password and provider.oauth is None:
            yield Problem((*path, "password"), "is missing: there is a username", "password or password_file")
        elif password and not provider.username:
            yield Problem((*path, "username"), "is missing: there is a password")


def _mailbox(settings: Settings) -> Iterator[Problem]:
    imap = settings.bounces.imap
    if imap is not None and imap.oauth is None and not imap.password.get_secret_value():
        yield Problem(("bounces", "imap", "password"), "is missing", "password, password_file or [bounces.imap.oauth]")


def _sites(settings: Settings) -> Iterator[Problem]:
    yield from duplicate_names("site", [site.name for site in settings.sites])
    shipped = [site.name for site in shipped_sites()]
    for index, site in enumerate(settings.sites):
        if not site.mx and site.name not in shipped:
            problem = f"is missing, and {site.name} is none of the shipped profiles"
            yield Problem(
                ("site", index, "mx"), problem, 'MX hosts such as "*.mx.example"', closest(site.name, shipped)
            )


def _site_warnings(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, site in enumerate(settings.sites):
        for number, pattern in enumerate(site.mx):
            if pattern in seen:
                problem = f"has no effect: the site {seen[pattern]}, which comes before, has the same pattern"
                yield Problem(("site", index, "mx", number), problem, "each pattern once")
            seen.setdefault(pattern, site.name)


def _provider_names(settings: Settings) -> Iterator[Problem]:
    """Yield names of providers that do not exist. An inherited name is reported once, for [defaults]."""
    used = [*_used_providers(("defaults",), settings.defaults, Defaults())]
    for name, domain in settings.domains.items():
        used += _used_providers(("domains", name), domain, settings.defaults)
    used += ((("identities", key, "provider"), one.provider) for key, one in settings.identities.items())
    for name, credential in settings.credentials.items():
        used += ((("credentials", name, "providers", index), one) for index, one in enumerate(credential.providers))
    used += ((("compat", "pools", pool), name) for pool, name in settings.compat.pools.items())

    known = [DIRECT, *(provider.name for provider in settings.providers)]
    for path, name in used:
        if name and name not in known:
            problem = f'there is no [[provider]] "{name}"'
            yield Problem(path, problem, ", ".join(known), closest(name, known), ("provider",))


def _used_providers(path: KeyPath, table: Defaults, inherited: Defaults) -> Iterator[tuple[KeyPath, str]]:
    """Yield the providers that a table names, without inherited values."""
    for key in ("provider", "campaign_provider"):
        if getattr(table, key) != getattr(inherited, key):
            yield (*path, key), getattr(table, key)
    for key in ("fallback_providers", "campaign_fallback_providers"):
        if getattr(table, key) != getattr(inherited, key):
            yield from (((*path, key, index), name) for index, name in enumerate(getattr(table, key)))


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
        yield Problem(("queue", "lifetime"), "ends before the first retry", "more than the first of queue.retry")


def _identity(settings: Settings, address: str, identity: Identity) -> Iterator[Problem]:
    path: KeyPath = ("identities", address)
    for index, name in enumerate(identity.credentials):
        if name not in settings.credentials:
            known = list(settings.credentials)
            allowed = ", ".join(known) or "a name under [credentials]"
            problem = f"there is no [credentials.{name}]"
            suggestion = closest(name, known)
            yield Problem((*path, "credentials", index), problem, allowed, suggestion, ("credentials",))
    if identity.reply_tracking and not identity.reply_to and not settings.domain_for(address).reply_domain:
        yield Problem((*path, "reply_tracking"), "needs the reply_domain of the domain", "reply_domain, or false")


def _inbound_warnings(settings: Settings) -> Iterator[Problem]:
    if settings.takes_inbound:
        if not settings.alerts.mail_to:
            problem = "is empty, so mail to postmaster@ and abuse@ is refused (RFC 5321 section 4.5.1)"
            yield Problem(("alerts", "mail_to"), problem, "the address of the operator")
        return
    for path, table in _sender_tables(settings):
        for key in ("reply_domain",) if settings.bounces.imap else ("return_path", "reply_domain"):
            # An inherited domain is reported once, for [defaults].
            inherited = len(path) > 1 and getattr(table, key) == getattr(settings.defaults, key)
            if getattr(table, key) and not inherited:
                yield Problem((*path, key), 'no [[listener]] of kind "inbound" receives mail for it')


def _bounce_address_warnings(settings: Settings) -> Iterator[Problem]:
    path: KeyPath = ("bounces", "address")
    if settings.bounces.imap is None:
        yield Problem(
            path, "is set, but no bounces are read from that mailbox", "[bounces.imap] with its server and login"
        )
    if domain_of(settings.bounces.address) in settings.return_domains:
        problem = f"mail to {domain_of(settings.bounces.address)} is received by this relay, which has no mailboxes"
        yield Problem(path, problem, "an address of a mailbox")
    if all(one.return_path for one in (settings.defaults, *settings.senders.domains.values())):
        yield Problem(path, "is not used: all mail has a signed address at its return_path", "one of them")
