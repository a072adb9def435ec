"""Forms of webhooks: receivers, which events they get, and the key that signs posts."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import ValidationError

from relay.config.masking import mask_url
from relay.config.settings import Settings
from relay.config.table_files import Table
from relay.config.table_names import webhook_table
from relay.config.webhooks import MessageEvents, OperatorEvents, Webhook, WebhookFormat
from relay.console.form_fields import FormField, Option, Section
from relay.console.forms import form_of
from relay.console.kept_secrets import KeptSecrets
from relay.console.name_check import name_fault
from relay.console.page_urls import path_segment
from relay.console.provider_form import secret_hint, typed_secret
from relay.console.roles import Viewer, viewer_of
from relay.console.table_forms import TableForm, TableForms
from relay.webhooks.receiver_keys import receiver_keys
from relay.webhooks.signing import new_secret

_CRUMB = ("/webhooks", "Webhooks")

SIGN = "sign"
"""Name of the field that has a key made."""

_TYPES = (Option("any", "All"), Option("transactional", "Transactional"), Option("campaign", "Campaigns"))

_MACHINES = (Option("labelled", "Sent, and marked"), Option("none", "Left out"))

_SLACK = "slack"
"""Format whose URLs are secrets: who has one can post."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookForms:
    """GET and POST /webhooks/new and /webhooks/{name}/edit."""

    forms: TableForms
    settings: Callable[[], Settings]
    kept: KeptSecrets

    async def new(self, request: web.Request) -> web.StreamResponse:
        """GET /webhooks/new: the empty form."""
        return await self.forms.show(request, self._new_form(viewer_of(request), "new", {}), {SIGN: "yes"})

    async def add(self, request: web.Request) -> web.StreamResponse:
        """POST /webhooks/new: make a webhook, and show its key once."""
        given, viewer = await form_of(request), viewer_of(request)
        name = given.get("name", "").strip()
        fault = name_fault(name, frozenset(one.name for one in self.settings().webhooks))
        form = self._new_form(viewer, "new" if fault else name, given)
        if not fault and viewer.may("OWNER") and given.get(SIGN) == "yes":
            secret, code = made_secret(name, given.get("format", ""), self.settings().server.hostname)
            form = replace(form, secrets={"secret": secret}, code=code)
        return await self._post(request, form, Table(form.name, Path()), {"name": fault} if fault else {})

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """GET /webhooks/{name}/edit: its settings."""
        form, _ = await self._form(request)
        return await self.forms.show(request, form)

    async def change(self, request: web.Request) -> web.StreamResponse:
        """POST /webhooks/{name}/edit: save its settings."""
        form, table = await self._form(request)
        return await self._post(request, form, table, {})

    async def _post(
        self, request: web.Request, form: TableForm, table: Table, faults: Mapping[str, str]
    ) -> web.StreamResponse:
        given, viewer = await form_of(request), viewer_of(request)
        password = typed_secret(request, given, self.kept) if viewer.may("OWNER") else ""
        kept = replace(
            form,
            hidden={"kept": self.kept.keep(request, password)},
            secrets={**form.secrets, **({"password": password} if password else {})},
        )
        present = next((one for one in self.settings().webhooks if one.name == form.name.name), None)
        return await self.forms.post(request, kept, {**_moved(viewer, present, table, given, password), **faults})

    def _new_form(self, viewer: Viewer, name: str, given: Mapping[str, str]) -> TableForm:
        table = Table(webhook_table(name), Path())
        return TableForm(
            name=table.name,
            sections=sections(viewer, table, self.settings(), is_secret=given.get("format") == _SLACK),
            title="New webhook",
            lead="Events are posted to another program as they happen.",
            path="/webhooks/new",
            back="/webhooks",
            after=f"/webhooks/{path_segment(name)}",
            crumb=_CRUMB,
            action="webhook.new",
            button="Save",
            is_new=True,
        )

    async def _form(self, request: web.Request) -> tuple[TableForm, Table]:
        name, viewer = request.match_info["name"], viewer_of(request)
        if name not in {one.name for one in self.settings().webhooks}:
            raise web.HTTPNotFound(text=f"There is no webhook {name[:80]}.")
        table = await self.forms.editor.read(webhook_table(name))
        page, url = f"/webhooks/{path_segment(name)}", str(table.values.get("url", ""))
        is_secret = table.values.get("format") == _SLACK or not url or mask_url(url) != url
        form = TableForm(
            name=table.name,
            sections=sections(viewer, table, self.settings(), is_secret=is_secret),
            title=f"Settings of {name}",
            path=f"{page}/edit",
            back=page,
            after=page,
            crumb=_CRUMB,
            action="webhook.change",
        )
        return form, table


def made_secret(name: str, form: str, hostname: str) -> tuple[str, tuple[str, str]]:
    """Return a new key, and title and text of what the receiver needs of it."""
    secret = new_secret(secrets.token_bytes(32))
    kind = form if form in get_args(WebhookFormat) else "standard"
    try:
        webhook = Webhook.model_validate({"name": name, "url": "https://localhost", "format": kind, "secret": [secret]})
    except ValidationError:
        return secret, ("Secret to check signatures", secret)
    title, text = receiver_keys(webhook, hostname)[0]
    titles = {"secret": "Secret to check signatures"}
    return secret, (titles.get(title, f"{title[:1].upper()}{title[1:]}"), text)


def _moved(
    viewer: Viewer, present: Webhook | None, table: Table, given: Mapping[str, str], password: str
) -> Mapping[str, str]:
    """Return the fault of a form that would send a stored password or header field to another host."""
    url = given.get("url", "").strip()
    has_login = any(key.startswith("password") for key in table.secrets)
    if present is None or not url or (_place(url) == _place(present.url) and (present.is_plain or _is_https(url))):
        return {}
    if "headers" in table.values:
        return {"url": "Header fields with secrets would go to another host. Change both in the file."}
    if has_login and not viewer.may("OWNER"):
        return {"url": "Its password would go to another host. Somebody with the role owner can change it."}
    return {"password": "The host changes: enter the password for it."} if has_login and not password else {}


def _is_https(url: str) -> bool:
    try:
        return urlsplit(url).scheme == "https"
    except ValueError:
        return False


def _place(url: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", None
    return parts.hostname or "", port


def sections(viewer: Viewer, table: Table, settings: Settings, *, is_secret: bool) -> Sequence[Section]:
    """Return the fields that this person may change. Only owners change keys, passwords and private networks."""
    receiver = [*_receiver(table, is_secret=is_secret)]
    if viewer.may("OWNER"):
        receiver += _private()
    parts = [
        Section("Receiver", "Where events are posted. Redirects are not followed.", receiver),
        Section("Events", "Without a choice it gets all events of messages.", _events()),
        Section("Filter", "Which events are posted. Empty: all.", _filters(settings)),
    ]
    if not viewer.may("OWNER"):
        return parts
    login = [
        FormField(key="username", label="User name"),
        FormField(key="password", label="Password", kind="secret", hint=secret_hint(table)),
    ]
    if not table.exists:
        login.insert(0, FormField(key=SIGN, label="Sign posts with a new key", kind="switch", is_stored=False))
    return [*parts, Section("Authentication", "How the receiver sees that a post comes from here.", login)]


def _receiver(table: Table, *, is_secret: bool) -> Sequence[FormField]:
    name = FormField(key="name", label="Name", required=True, is_stored=False)
    hint = "Empty: the present one stays." if table.exists else "Whoever has it can post."
    url = (
        FormField(key="url", label="URL", kind="secret", hint=hint, required=not table.exists)
        if is_secret
        else FormField(key="url", label="URL", kind="url", required=True, placeholder="https://crm.example.com/hooks")
    )
    formats = [Option(one, one) for one in get_args(WebhookFormat)]
    return (
        *(() if table.exists else (name,)),
        url,
        FormField(key="format", label="Format", kind="select", options=formats, hint="What the receiver reads"),
    )


def _private() -> Sequence[FormField]:
    hint = "Addresses that are not public, such as 10.0.0.7/32, to which it may post"
    return (FormField(key="allow_networks", label="Private networks", kind="list", hint=hint),)


def _events() -> Sequence[FormField]:
    options = [Option(one, one) for one in (*get_args(MessageEvents), *get_args(OperatorEvents))]
    return (
        FormField(key="events", label="Events", kind="checks", options=options),
        FormField(key="machines", label="Opens and clicks of machines", kind="select", options=_MACHINES),
    )


def _filters(settings: Settings) -> Sequence[FormField]:
    known = ", ".join(settings.domains) or "none yet"
    return (
        FormField(key="domains", label="Sending domains", kind="list", hint=f"There are: {known}"),
        FormField(key="identities", label="Identities", kind="list", hint="Addresses, parted by commas"),
        FormField(key="type", label="Kind of mail", kind="select", options=_TYPES),
    )
