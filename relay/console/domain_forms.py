"""The form of a sending domain: tracking, ways out, replies, unsubscribes, selectors of keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from relay.config.parsers import HOST_NAME
from relay.config.senders import UnsubscribeScope
from relay.config.settings import Settings
from relay.config.table_names import domain_table
from relay.console.form_fields import FormField, Option, Section
from relay.console.forms import form_of
from relay.console.page_urls import path_segment
from relay.console.roles import Viewer, viewer_of
from relay.console.table_forms import TableForm, TableForms
from relay.mail.canonical_address import canonical_domain
from relay.people.own_choices import own_providers
from relay.people.restricted_settings import domain_faults

_SCOPES = (
    Option("campaign", "Campaign", "Who unsubscribed gets no more of that campaign"),
    Option("domain", "Domain", "Who unsubscribed gets no campaign mail of this domain"),
    Option("global", "Global", "Who unsubscribed gets no campaign mail of this relay"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainForms:
    """GET and POST /domains/new and /domains/DOMAIN/edit."""

    forms: TableForms
    settings: Callable[[], Settings]

    async def new(self, request: web.Request) -> web.StreamResponse:
        """GET /domains/new: the form, with names of selectors for two keys."""
        return await self.forms.show(request, self._new_form("new"), {"dkim.selectors": "s1, s2"})

    async def add(self, request: web.Request) -> web.StreamResponse:
        """POST /domains/new: make a sending domain."""
        name = canonical_domain((await form_of(request)).get("domain", "").strip())
        wrong = 'It is no domain name. Allowed: a name such as "acme.test".'
        fault = {} if HOST_NAME.fullmatch(name) else {"domain": wrong}
        return await self.forms.post(request, self._new_form("new" if fault else name), fault)

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """GET /domains/DOMAIN/edit: its settings."""
        return await self.forms.show(request, self._form(own_domain(request, self.settings()), viewer_of(request)))

    async def change(self, request: web.Request) -> web.StreamResponse:
        """POST /domains/DOMAIN/edit: save its settings."""
        return await self.forms.post(request, self._form(own_domain(request, self.settings()), viewer_of(request)))

    def _new_form(self, domain: str) -> TableForm:
        settings = self.settings()
        name = FormField(key="domain", label="Domain", is_stored=False, required=True)
        sections = (
            Section("Domain", "Its page shows which DNS records to publish.", (name, *_signature())),
            Section("Tracking", "Holds for the next message.", _tracking(settings)),
            Section(
                "Way out",
                "Which provider takes the mail, and which one when that has no room.",
                _ways(settings, own_providers(settings, ())),
            ),
            Section("Replies and unsubscribes", "Where answers and late bounces come in.", _returns(settings, _SCOPES)),
        )
        return TableForm(
            name=domain_table(domain),
            sections=sections,
            title="New sending domain",
            lead="The part after the @ of addresses that mail comes from.",
            path="/domains/new",
            back="/domains",
            after=f"/domains/{path_segment(domain)}",
            crumb=("/domains", "Domains"),
            action="domain.new",
            button="Save",
            is_new=True,
        )

    def _form(self, domain: str, viewer: Viewer) -> TableForm:
        settings, page = self.settings(), f"/domains/{path_segment(domain)}"
        names = own_providers(settings, viewer.domains)
        scopes = _scopes(viewer, settings.domains[domain].exclusion)
        sections = (
            Section("Tracking", "Holds for the next message.", _tracking(settings)),
            Section(
                "Way out", "Which provider takes the mail, and which one when that has no room.", _ways(settings, names)
            ),
            Section("Replies and unsubscribes", "Where answers and late bounces come in.", _returns(settings, scopes)),
            Section("Signature", "Each key has a selector. The next key needs a free one.", _signature()),
        )
        return TableForm(
            name=domain_table(domain),
            sections=sections,
            title=f"Settings of {domain}",
            path=f"{page}/edit",
            back=page,
            after=page,
            crumb=("/domains", "Domains"),
            action="domain.change",
            check=partial(domain_faults, settings, viewer.domains),
        )


def own_domain(request: web.Request, settings: Settings) -> str:
    """Return the domain of the path. Raises HTTPNotFound if it is not configured, or not one of the person."""
    domain = canonical_domain(request.match_info["domain"])
    if domain not in settings.domains or not viewer_of(request).sees(domain):
        raise web.HTTPNotFound(text=f"{domain[:255]} is no sending domain here.")
    return domain


def _scopes(viewer: Viewer, present: UnsubscribeScope) -> Sequence[Option]:
    """Return the choices of a person; without those that concern other domains for people who are restricted."""
    return [one for one in _SCOPES if not viewer.domains or one.value in ("campaign", "domain", present)]


def _tracking(settings: Settings) -> Sequence[FormField]:
    usual = settings.defaults.tracking
    base_url = usual.base_url or settings.tracker.base_url

    def switch(key: str, label: str, hint: str = "") -> FormField:
        return FormField(key=f"tracking.{key}", label=label, kind="switch", hint=hint, default=getattr(usual, key))

    return (
        switch("opens", "Open tracking", "A pixel in HTML mail."),
        switch("clicks", "Click tracking", "Links lead through the tracking host."),
        switch("text_links", "Links in plain text too"),
        switch("skip_sensitive", "Leave links with passwords and codes alone"),
        FormField(
            key="tracking.base_url",
            label="Tracking host",
            kind="url",
            hint="Without one that of the relay. Without any, nothing is tracked.",
            placeholder=base_url,
        ),
        FormField(
            key="tracking.exclude_hosts",
            label="Hosts never rewritten",
            kind="list",
            hint='Parted by commas; "*.example.net" is every host below.',
        ),
    )


def _ways(settings: Settings, names: Sequence[str]) -> Sequence[FormField]:
    usual = Option("", f"As the defaults say: {settings.defaults.provider}")
    campaign = settings.defaults.campaign_provider
    return (
        FormField(
            key="provider",
            label="Default provider",
            kind="select",
            options=(usual, *(Option(one, one) for one in names)),
        ),
        FormField(
            key="fallback_providers",
            label="Fallbacks",
            kind="list",
            hint=f"Tried in this order, parted by commas. There are: {', '.join(names)}.",
            placeholder=", ".join(settings.defaults.fallback_providers),
        ),
        FormField(
            key="campaign_provider",
            label="Provider of campaign mail",
            kind="select",
            options=(
                Option("", f"As the defaults say: {campaign}" if campaign else "The same"),
                *(Option(one, one) for one in names),
            ),
        ),
    )


def _returns(settings: Settings, scopes: Sequence[Option]) -> Sequence[FormField]:
    usual = settings.defaults
    return (
        FormField(
            key="return_path",
            label="Return path",
            hint="Domain of late bounces, such as bounces.acme.test.",
            placeholder=usual.return_path,
        ),
        FormField(
            key="reply_domain",
            label="Reply domain",
            hint="Replies become events of their message, and are passed on.",
            placeholder=usual.reply_domain,
        ),
        FormField(key="exclusion", label="Address exclusion", kind="radio", options=scopes, default=usual.exclusion),
        FormField(key="bcc", label="Blind copy of each message to", kind="list", hint="Parted by commas."),
    )


def _signature() -> Sequence[FormField]:
    return (
        FormField(
            key="dkim.selectors",
            label="Selectors",
            kind="list",
            hint="Parted by commas, such as s1, s2. One key of each algorithm signs.",
        ),
    )
