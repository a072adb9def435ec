"""Forms of credentials: the server makes the password, shows it once, and keeps a hash of it."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from relay.config.credentials import RANDOM_OCTETS, new_key
from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.config.table_files import Table
from relay.config.table_names import credential_table
from relay.console.form_fields import FormField, Option, Section
from relay.console.forms import form_of
from relay.console.name_check import name_fault
from relay.console.page_urls import path_segment
from relay.console.table_forms import TableForm, TableForms
from relay.mail.lane import DIRECT

_CRUMB = ("/credentials", "Credentials")

KEY_TITLE = "Password, with {} or any other text as user name"
"""What stands above a new key."""

SCOPES = (
    Option("send", "Send mail", "By SMTP and over HTTP"),
    Option("read", "Read", "Messages, events and reports over HTTP"),
    Option("suppressions", "Change the lists", "Suppressions and unsubscribes"),
    Option("webhooks", "Webhooks", "Make, change and remove webhooks over HTTP"),
    Option("manage", "Manage", "Domains, identities, queue and pauses over HTTP"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialForms:
    """GET and POST /credentials/new and /credentials/{name}/edit."""

    forms: TableForms
    settings: Callable[[], Settings]

    async def new(self, request: web.Request) -> web.StreamResponse:
        """GET /credentials/new: the empty form."""
        return await self.forms.show(request, self._new_form("new"))

    async def add(self, request: web.Request) -> web.StreamResponse:
        """POST /credentials/new: make a credential, and show its key once."""
        name = (await form_of(request)).get("name", "").strip()
        fault = name_fault(name, frozenset(self.settings().credentials))
        if fault:
            return await self.forms.post(request, self._new_form("new"), {"name": fault})
        key, hashed = made_key(name)
        made = {"secret_hash": hashed}
        form = replace(self._new_form(name), made=made, code=(KEY_TITLE.format(name), key))
        return await self.forms.post(request, form)

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """GET /credentials/{name}/edit: what it may do."""
        return await self.forms.show(request, await self._form(request))

    async def change(self, request: web.Request) -> web.StreamResponse:
        """POST /credentials/{name}/edit: save what it may do."""
        return await self.forms.post(request, await self._form(request))

    def _new_form(self, name: str) -> TableForm:
        table = Table(credential_table(name), Path())
        return TableForm(
            name=table.name,
            sections=sections(self.settings(), table),
            title="New credential",
            lead="A login for an application. Its password is made here, and shown once.",
            path="/credentials/new",
            back="/credentials",
            after=f"/credentials/{path_segment(name)}",
            crumb=_CRUMB,
            action="credential.new",
            button="Make it",
            is_new=True,
        )

    async def _form(self, request: web.Request) -> TableForm:
        name = request.match_info["name"]
        if name not in self.settings().credentials:
            raise web.HTTPNotFound(text=f"There is no credential {name[:80]}.")
        table = await self.forms.editor.read(credential_table(name))
        page = f"/credentials/{path_segment(name)}"
        return TableForm(
            name=table.name,
            sections=sections(self.settings(), table),
            title=f"Settings of {name}",
            path=f"{page}/edit",
            back=page,
            after=page,
            crumb=_CRUMB,
            action="credential.change",
        )


def made_key(name: str) -> tuple[str, str]:
    """Return a new key of a credential, and its hash."""
    key = new_key(name, secrets.token_bytes(RANDOM_OCTETS))
    return key, hash_secret(key, secrets.token_bytes(16))


def sections(settings: Settings, table: Table) -> Sequence[Section]:
    """Return the fields of a credential."""
    hint = "Part of each password. Letters, digits, dot, hyphen and underscore"
    name = FormField(key="name", label="Name", required=True, is_stored=False, hint=hint)
    may = FormField(key="scopes", label="What it may do", kind="checks", options=SCOPES, default=["send"])
    return (
        Section("Credential", "What an application logs in with.", (*(() if table.exists else (name,)), may)),
        Section("Bounds", "Without any, it may send as each identity that is open to it.", _bounds(settings)),
        Section("Exceptions", "Off for most applications.", _special(table)),
    )


def _bounds(settings: Settings) -> Sequence[FormField]:
    known = ", ".join(settings.domains) or "none yet"
    names = [DIRECT, *(one.name for one in settings.providers)]
    return (
        FormField(key="domains", label="Sending domains", kind="list", hint=f"Empty: all. There are: {known}"),
        FormField(
            key="providers",
            label="Providers that it may choose",
            kind="checks",
            options=[Option(one, one) for one in names],
            hint="By the field X-Relay-Provider, beside those of the sender",
        ),
    )


def _special(table: Table) -> Sequence[FormField]:
    bypass = FormField(key="may_bypass_lists", label="May send to suppressed addresses", kind="switch", default=False)
    sandbox = FormField(key="sandbox", label="Sandbox: its mail is not delivered", kind="switch", default=False)
    return (bypass,) if isinstance(table.values.get("sandbox"), dict) else (bypass, sandbox)
