"""Forms of providers: new ones, their settings, and a test of the connection before anything is saved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from relay.config.settings import Provider, Settings
from relay.config.table_files import Table
from relay.config.table_names import provider_table
from relay.console.form_fields import FormField, Section, fields_of, meaning_of, submitted
from relay.console.forms import form_of
from relay.console.kept_secrets import KeptSecrets
from relay.console.name_check import name_fault
from relay.console.page_urls import path_segment
from relay.console.provider_page import CheckLogin, audit_login_test, login_notice
from relay.console.roles import Viewer, viewer_of
from relay.console.section_values import section_of
from relay.console.table_forms import TableForm, TableForms
from relay.console.tls_texts import tls_options

_CRUMB = ("/providers", "Providers")

_PLACE = {"host": "", "port": "587", "tls": "starttls", "username": ""}
"""Keys that say where a password is sent, and as whom, with their defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderForms:
    """GET and POST /providers/new and /providers/{name}/edit."""

    forms: TableForms
    settings: Callable[[], Settings]
    check: CheckLogin
    kept: KeptSecrets

    async def new(self, request: web.Request) -> web.StreamResponse:
        """GET /providers/new: the empty form."""
        form, _ = await self._new_form(request, "new")
        return await self.forms.show(request, form)

    async def add(self, request: web.Request) -> web.StreamResponse:
        """POST /providers/new: make a provider, or test its connection."""
        given = await form_of(request)
        name = given.get("name", "").strip()
        fault = name_fault(name, frozenset(one.name for one in self.settings().providers))
        form, table = await self._new_form(request, "new" if fault else name)
        return await self._post(request, form, table, {"name": fault} if fault else {})

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """GET /providers/{name}/edit: its settings."""
        form, _ = await self._form(request)
        return await self.forms.show(request, form)

    async def change(self, request: web.Request) -> web.StreamResponse:
        """POST /providers/{name}/edit: save its settings, or test its connection."""
        form, table = await self._form(request)
        return await self._post(request, form, table, {})

    async def _new_form(self, request: web.Request, name: str) -> tuple[TableForm, Table]:
        table = Table(provider_table(name), Path())
        form = TableForm(
            name=table.name,
            sections=sections(viewer_of(request), table),
            title="New provider",
            lead="A service that takes mail and delivers it.",
            path="/providers/new",
            back="/providers",
            after=f"/providers/{path_segment(name)}",
            crumb=_CRUMB,
            action="provider.new",
            button="Save",
            is_new=True,
            buttons=(("test", "Test connection"),),
        )
        return form, table

    async def _form(self, request: web.Request) -> tuple[TableForm, Table]:
        """Return the form of the provider of the path, and its table. Raises 404."""
        name, viewer = request.match_info["name"], viewer_of(request)
        if self.settings().provider(name) is None:
            raise web.HTTPNotFound(text=f"There is no provider {name[:80]}.")
        table = await self.forms.editor.read(provider_table(name))
        page = f"/providers/{path_segment(name)}"
        form = TableForm(
            name=table.name,
            sections=sections(viewer, table),
            title=f"Settings of {name}",
            lead=""
            if viewer.may("OWNER")
            else "Somebody with the role owner changes its login, and where that is sent.",
            path=f"{page}/edit",
            back=page,
            after=page,
            crumb=_CRUMB,
            action="provider.change",
            buttons=(("test", "Test connection"),) if _has_server(viewer, table) else (),
        )
        return form, table

    async def _post(
        self, request: web.Request, form: TableForm, table: Table, faults: Mapping[str, str]
    ) -> web.StreamResponse:
        """Save the form, or test the connection it describes."""
        given = await form_of(request)
        password = typed_secret(request, given, self.kept) if viewer_of(request).may("OWNER") else ""
        kept = replace(
            form, hidden={"kept": self.kept.keep(request, password)}, secrets={"password": password} if password else {}
        )
        faults = {**moved_faults(table, given, password, _PLACE), **faults}
        if given.get("do") != "test":
            return await self.forms.post(request, kept, faults)
        return await self._tested(request, kept, table, faults, password)

    async def _tested(
        self, request: web.Request, form: TableForm, table: Table, faults: Mapping[str, str], password: str
    ) -> web.StreamResponse:
        given, fields = await form_of(request), fields_of(form.sections)
        meaning = meaning_of(fields, submitted(fields, given), table.values)
        present = self.settings().provider(form.name.name)
        stored = present.password.get_secret_value() if present else ""
        values = {"name": form.name.name, **meaning.values}
        provider, wrong = section_of(Provider, values, password or stored)
        if present is not None and present.oauth is not None:
            provider = present  # Its tokens are those of the settings in force.
        faults = {**wrong, **meaning.faults, **faults}
        if provider is None or faults:
            return await self.forms.again(request, form, faults=faults)
        found = await self.check(provider)
        await audit_login_test(self.forms.editor.audit, viewer_of(request), found)
        return await self.forms.again(request, form, notice=login_notice(found))


def sections(viewer: Viewer, table: Table) -> Sequence[Section]:
    """Return the fields that this person may change. Only owners change a login, and where it is sent."""
    sending = [*_name(table), *_server()] if _has_server(viewer, table) else []
    parts: list[tuple[str, str, Sequence[FormField]]] = [("Server", "Where mail is handed over.", sending)]
    if viewer.may("OWNER"):
        login = [FormField(key="username", label="User name")]
        if "oauth" not in table.values:
            login.append(FormField(key="password", label="Password", kind="secret", hint=secret_hint(table)))
        parts.append(("Login", "Without a user name there is no login.", login))
    parts.append(("Limits", "What is over a limit takes a fallback, or waits for the next place.", _limits()))
    return [Section(title, text, fields) for title, text, fields in parts if fields]


def _has_server(viewer: Viewer, table: Table) -> bool:
    """Whether this person may change the server: a stored password must not be sent to another one."""
    return viewer.may("OWNER") or not (table.secrets or table.values.get("username") or "oauth" in table.values)


def _name(table: Table) -> Sequence[FormField]:
    hint = "What rules, lists and the log call it"
    return () if table.exists else (FormField(key="name", label="Name", required=True, is_stored=False, hint=hint),)


def _server() -> Sequence[FormField]:
    return (
        FormField(key="host", label="Server name", required=True, placeholder="smtp.provider.example"),
        FormField(
            key="port",
            label="Port",
            kind="number",
            placeholder="587",
            hint="587 with STARTTLS, 465 with TLS from the start",
        ),
        FormField(key="tls", label="Encryption", kind="select", options=tls_options("starttls", "implicit", "none")),
    )


def _limits() -> Sequence[FormField]:
    return (
        FormField(key="hourly_limit", label="Emails an hour", kind="number", hint="Empty: no limit"),
        FormField(key="daily_limit", label="Emails a day", kind="number", hint="Empty: no limit"),
        FormField(key="connections", label="Connections at once", kind="number", hint="Empty: the usual number"),
        FormField(
            key="spf",
            label="SPF of its servers",
            placeholder="include:spf.provider.example",
            hint="It becomes part of the record of each sending domain",
        ),
    )


def secret_hint(table: Table) -> str:
    """Return what a form says below a password."""
    if any(key.startswith("password") for key in table.secrets):
        return "Empty: the present one stays."
    return "Kept in a file that only the server reads."


def moved_faults(table: Table, given: Mapping[str, str], password: str, place: Mapping[str, str]) -> Mapping[str, str]:
    """Return the fault of a form that would send the stored password to another server, or as another user.

    `place` has the keys that say so, with their defaults.
    """
    if password or not table.secrets:
        return {}
    now = {key: str(table.values.get(key, default)) for key, default in place.items()}
    new = {key: given.get(key, now[key]).strip() or default for key, default in place.items()}
    return {} if new == now else {"password": "Server, encryption or user changes: enter the password for it."}


def typed_secret(request: web.Request, given: Mapping[str, str], kept: KeptSecrets) -> str:
    """Return the password that was typed, now or before a test."""
    return given.get("password", "") or kept.opened(request, given.get("kept", ""))
