"""One provider: its state and limits, who uses it, its login; a test of the connection and a test mail."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from relay.admin.oauth import account_json
from relay.admin.providers import ProviderRoutes
from relay.admin.requests import address_or_400
from relay.config.settings import Provider, Settings
from relay.console.formats import listed, sentence
from relay.console.forms import form_of
from relay.console.layout import Layout
from relay.console.notices import Notice
from relay.console.provider_list import ProviderPages, ProviderRow
from relay.console.roles import Viewer, viewer_of
from relay.console.tls_texts import TLS_TEXTS
from relay.delivery.login_check import LoginAnswer
from relay.mail.lane import DIRECT
from relay.oauth.service import AccountState
from relay.people.audit_trail import AuditTrail

CheckLogin = Callable[[Provider], Awaitable[LoginAnswer]]
"""Logs in at a provider, and sends nothing."""

MAX_SENDERS = 10
"""Domains and identities that are named, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPage:
    """GET /providers/{name}, for everybody who reads."""

    layout: Layout
    pages: ProviderPages
    settings: Callable[[], Settings]
    accounts: Callable[[], Awaitable[Sequence[AccountState]]]
    """Returns the accounts with OAuth2. Raises StoreError."""

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /providers/{name}."""
        return await self.answer(request)

    async def answer(self, request: web.Request, tested: LoginAnswer | None = None) -> web.StreamResponse:
        """Answer with the page, and what a test of the connection found. Raises 404."""
        name, settings = request.match_info["name"], self.settings()
        row = next((one for one in await self.pages.found(viewer_of(request)) if one.json["name"] == name), None)
        if row is None:
            raise web.HTTPNotFound(text=f"There is no provider {name[:80]}.")
        provider = settings.provider(name)
        account = next((one for one in await self.accounts() if one.account.name == name), None)
        alerts = settings.alerts
        return await self.layout.page(
            request,
            "provider.html",
            title=name,
            section="/providers/",
            row=row,
            provider=provider,
            headline=_headline(row),
            text=_text(row),
            facts=[*_facts(provider), *_users(settings, name)],
            account=account_json(account) if account else None,
            notice=login_notice(tested) if tested else None,
            sender=alerts.mail_from or f"postmaster@{settings.server.hostname}",
            to=next(iter(alerts.mail_to), ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTests:
    """POST /providers/{name}/test and /providers/{name}/mail."""

    page: ProviderPage
    routes: ProviderRoutes
    check: CheckLogin
    audit: AuditTrail

    async def post(self, request: web.Request) -> web.StreamResponse:
        """POST /providers/{name}/test: log in, and show the answer."""
        name, viewer = request.match_info["name"], viewer_of(request)
        provider = self.page.settings().provider(name)
        if provider is None:
            raise web.HTTPNotFound(text=f"There is no provider {name[:80]} with a login to test.")
        tested = await self.check(provider)
        await audit_login_test(self.audit, viewer, tested)
        return await self.page.answer(request, tested)

    async def mail(self, request: web.Request) -> web.StreamResponse:
        """POST /providers/{name}/mail with from and to: queue a test mail, and lead to its page."""
        form, name, viewer = await form_of(request), request.match_info["name"], viewer_of(request)
        if name != DIRECT and self.page.settings().provider(name) is None:
            raise web.HTTPNotFound(text=f"There is no provider {name[:80]}.")
        given = [form.get(key, "").strip() for key in ("from", "to")]
        sent = await self.routes.send_test(name, *(address_or_400(one) if one else "" for one in given))
        await self.audit.note(
            "provider.mail", person=viewer.name, client=viewer.client, subject=name, after=f"to {sent['to']}"
        )
        raise web.HTTPSeeOther(f"/messages/{sent['queue_id']}")


async def audit_login_test(audit: AuditTrail, viewer: Viewer, tested: LoginAnswer) -> None:
    """Record who had the relay log in where. Raises StoreError."""
    after = "works" if tested.works else f"{tested.phase or 'not asked'}: {tested.text}"
    await audit.note(
        "provider.test",
        person=viewer.name,
        client=viewer.client,
        subject=f"{tested.provider} {tested.server}",
        after=after,
    )


def login_notice(tested: LoginAnswer) -> Notice:
    """Return what a page says about a test of the connection."""
    follows = f"{tested.server}: {sentence(tested.text)} {tested.hint}".strip()
    match tested.result:
        case "login":
            return Notice("ok", "The server takes the login.", follows)
        case "answer":
            return Notice("ok", "The server answers. No login is set.", follows)
        case "unknown":
            return Notice("wait", "The server was not asked.", follows)
    return Notice("bad", "The connection does not work.", follows)


def _headline(row: ProviderRow) -> str:
    name = "Delivery to the servers of recipients" if row.json["name"] == DIRECT else f"Provider {row.json['name']}"
    return f"{name} {'works' if row.badge[0] == 'ok' else 'is ' + row.badge[1].lower()}."


def _text(row: ProviderRow) -> str:
    return sentence(str(row.held or row.json["why"]))


def _facts(provider: Provider | None) -> Sequence[tuple[str, Any]]:
    """Return the settings, without secrets."""
    if provider is None:
        return [("Host", "the MX hosts of each domain")]
    return [
        ("Server", f"{provider.host}:{provider.port}"),
        ("Encryption", TLS_TEXTS[provider.tls]),
        ("Login", provider.username or "none"),
        *([("Connections", str(provider.connections))] if provider.connections else []),
        *([("SPF", provider.spf)] if provider.spf else []),
    ]


def _users(settings: Settings, name: str) -> Sequence[tuple[str, str]]:
    """Return what leaves by a provider."""
    senders = settings.senders
    first = [one for one, domain in senders.domains.items() if domain.provider == name]
    campaigns = [one for one, domain in senders.domains.items() if domain.campaign_provider == name]
    others = [
        one
        for one, domain in senders.domains.items()
        if name in (*domain.fallback_providers, *domain.campaign_fallback_providers)
    ]
    identities = [one for one, identity in senders.identities.items() if identity.provider == name]
    uses = {"Domains": first, "Campaigns of": campaigns, "Fallback of": others, "Identities": identities}
    default = [("Default", "for all mail without another provider")] if settings.defaults.provider == name else []
    return [*default, *((title, listed(found, most=MAX_SENDERS)) for title, found in uses.items() if found)]
