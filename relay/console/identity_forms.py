"""Forms of identities: new ones, by a name or an address, and their settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from relay.config.settings import Settings
from relay.config.table_names import identity_table
from relay.console.form_fields import FormField, Option, Section
from relay.console.forms import form_of
from relay.console.page_urls import path_segment
from relay.console.roles import Viewer, viewer_of
from relay.console.table_forms import TableForm, TableForms
from relay.mail.address import AddressError, parse_address
from relay.mail.address_from_name import free_address
from relay.mail.canonical_address import canonical, domain_of
from relay.people.own_choices import own_credentials, own_providers
from relay.people.restricted_settings import identity_faults

AUTO, OWN = "auto", "own"

_CRUMB = ("/identities", "Identities")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityForms:
    """GET and POST /identities/new and /identities/ADDRESS/edit."""

    forms: TableForms
    settings: Callable[[], Settings]

    async def new(self, request: web.Request) -> web.StreamResponse:
        """GET /identities/new: the empty form."""
        return await self.forms.show(request, self._new_form(viewer_of(request), "new"))

    async def add(self, request: web.Request) -> web.StreamResponse:
        """POST /identities/new: make an identity. Its address comes from the name, or is given."""
        given, viewer = await form_of(request), viewer_of(request)
        address, fault = new_address(self.settings(), given, viewer)
        return await self.forms.post(request, self._new_form(viewer, address or "new"), fault)

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """GET /identities/ADDRESS/edit: its settings."""
        return await self.forms.show(request, self._form(viewer_of(request), own_address(request)))

    async def change(self, request: web.Request) -> web.StreamResponse:
        """POST /identities/ADDRESS/edit: save its settings."""
        return await self.forms.post(request, self._form(viewer_of(request), own_address(request)))

    def _form(self, viewer: Viewer, address: str) -> TableForm:
        settings, page = self.settings(), f"/identities/{path_segment(address)}"
        sections = (
            Section("Sender", "What readers see in their inbox: Jane Doe (Acme Ltd)", _names()),
            *_settings_sections(settings, viewer, address),
        )
        return TableForm(
            name=identity_table(address),
            sections=sections,
            title=f"Settings of {address}",
            path=f"{page}/edit",
            back=page,
            after=page,
            crumb=_CRUMB,
            action="identity.change",
            check=partial(identity_faults, settings, viewer.domains, address),
        )

    def _new_form(self, viewer: Viewer, address: str) -> TableForm:
        settings = self.settings()
        sender = (*_names(), *_address_fields(settings, viewer))
        sections = (
            Section("Sender", "What readers see in their inbox: Jane Doe (Acme Ltd)", sender),
            *_settings_sections(settings, viewer, address),
        )
        return TableForm(
            name=identity_table(address),
            sections=sections,
            title="New email identity",
            lead="A name and an address that mail comes from, with limits of its own.",
            path="/identities/new",
            back="/identities",
            after=f"/identities/{path_segment(address)}",
            crumb=_CRUMB,
            action="identity.new",
            button="Save",
            is_new=True,
            check=partial(identity_faults, settings, viewer.domains, address),
        )


def own_address(request: web.Request) -> str:
    """Return the address of the path. Raises HTTPNotFound if it is none, or not of the domains of the person."""
    given = request.match_info["address"]
    try:
        address = canonical(str(parse_address(given)))
    except AddressError:
        raise web.HTTPNotFound(text=f"{given[:200]} is no mail address.") from None
    if not viewer_of(request).sees(domain_of(address)):
        raise web.HTTPNotFound(text=f"{address} is no identity here.")
    return address


def new_address(settings: Settings, given: Mapping[str, str], viewer: Viewer) -> tuple[str, Mapping[str, str]]:
    """Return the address of a new identity, or "" and the fault of a field."""
    shared = shared_domain(settings, viewer)
    if shared and given.get("how", AUTO) != OWN:
        address = free_address(given.get("display_name", ""), shared, settings.identities)
        return address, {} if address else {"display_name": "No letter of it fits an address. Give the address itself."}
    text = given.get("address", "").strip()
    try:
        address = canonical(str(parse_address(text)))
    except AddressError as error:
        return "", {"address": f"It is not a mail address: {error}." if text else "An address is needed."}
    if not viewer.sees(domain_of(address)):
        return "", {"address": f"You act for {', '.join(viewer.domains)} only."}
    return address, {}


def shared_domain(settings: Settings, viewer: Viewer) -> str:
    """Return the domain of addresses that are made of names, "" if this person makes none."""
    shared = settings.server.identities_domain
    return shared if viewer.sees(shared) else ""


def _names() -> Sequence[FormField]:
    return (FormField(key="display_name", label="Display name"), FormField(key="company", label="Company"))


def _address_fields(settings: Settings, viewer: Viewer) -> Sequence[FormField]:
    shared = shared_domain(settings, viewer)
    address = FormField(key="address", label="Email address", kind="email", is_stored=False, required=not shared)
    if not shared:
        return (address,)
    choices = (
        Option(AUTO, "Create it automatically", f"From the name: Jane Doe becomes jane.doe@{shared}"),
        Option(OWN, "Use an address of my own domain", "The domain needs its DNS records first"),
    )
    how = FormField(key="how", label="Address", kind="radio", options=choices, default=AUTO, is_stored=False)
    return (how, address)


def _settings_sections(settings: Settings, viewer: Viewer, address: str) -> Sequence[Section]:
    domain = settings.domain_for(address)
    return (
        Section("Limits", "What is over the limit waits for the next place.", _limits(settings)),
        Section("Responses", "Where answers go. They stay in the story of their message.", _responses(domain.bcc)),
        Section("Way out", "Which service takes its mail, and who may send as it.", _ways(settings, viewer, address)),
    )


def _limits(settings: Settings) -> Sequence[FormField]:
    limits = settings.limits
    ceiling = limits.identity_daily_ceiling
    bound = f", at most {ceiling}" if ceiling else ", 0 for no limit"
    return (
        FormField(
            key="hourly_limit",
            label="Emails an hour",
            kind="number",
            hint=f"Default {limits.identity_hourly}{bound}",
            placeholder=str(limits.identity_hourly),
        ),
        FormField(
            key="daily_limit",
            label="Emails a day",
            kind="number",
            hint=f"Default {limits.identity_daily}{bound}",
            placeholder=str(limits.identity_daily),
        ),
    )


def _responses(inherited: Sequence[str]) -> Sequence[FormField]:
    copies = f" Without one: {', '.join(inherited)}, as the domain says." if inherited else ""
    tracked = (
        Option("", "If responses are forwarded"),
        Option("yes", "Yes: Reply-To leads back here"),
        Option("no", "No"),
    )
    return (
        FormField(
            key="forward_to",
            label="Forward responses to",
            kind="list",
            hint="Several are parted by commas. The test sends a code there.",
        ),
        FormField(key="bcc", label="Blind copy of each message to", kind="list", hint=f"Parted by commas.{copies}"),
        FormField(key="reply_tracking", label="Track replies", kind="maybe", options=tracked),
        FormField(
            key="reply_to",
            label="Fixed reply address",
            kind="email",
            hint="With one, replies go straight there and are not tracked.",
        ),
    )


def _ways(settings: Settings, viewer: Viewer, address: str) -> Sequence[FormField]:
    usual = settings.all_providers_for(domain_of(address)) if "@" in address else (settings.defaults.provider,)
    names = own_providers(settings, viewer.domains)
    options = (Option("", f"As the domain says: {', then '.join(usual)}"), *(Option(one, one) for one in names))
    known = ", ".join(own_credentials(settings, viewer.domains)) or "none"
    return (
        FormField(key="provider", label="Email service", kind="select", options=options),
        FormField(
            key="credentials",
            label="Credentials that may send as it",
            kind="list",
            hint=f"Parted by commas; there are: {known}. Without one, all that may use this relay.",
        ),
    )
