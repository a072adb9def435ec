"""The form of the bounce mailbox: its account, tested before it is saved, and the folder, chosen among those it has."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.config.settings import Imap, Settings
from relay.config.table_files import Table
from relay.config.table_names import MAILBOX
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.form_fields import FormField, Option, Section, fields_of, meaning_of, submitted
from relay.console.formats import counted
from relay.console.forms import form_of
from relay.console.kept_secrets import KeptSecrets
from relay.console.mailbox import ReadFolders, folders_or_fault
from relay.console.notices import Notice
from relay.console.provider_form import moved_faults, secret_hint, typed_secret
from relay.console.roles import Role, Viewer, viewer_of
from relay.console.section_values import section_of
from relay.console.table_actions import changed, table_to_change
from relay.console.table_forms import TableForm, TableForms
from relay.console.tls_texts import TLS_TEXTS, tls_options
from relay.people.ports import Plan
from relay.people.table_editor import Edit, TableEditor

MAX_FOLDERS = 500
"""Folders of a choice, at most."""

_PLACE = {"host": "", "port": "993", "tls": "implicit", "username": ""}
"""Keys that say where the password is sent, and as whom, with their defaults."""

_HANDLED = (
    Option("move", "Move it to another folder"),
    Option("flag", "Mark it with a flag"),
    Option("leave", "Leave it as it is"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxForms:
    """GET and POST /mailbox/edit."""

    forms: TableForms
    settings: Callable[[], Settings]
    read: ReadFolders
    kept: KeptSecrets

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """GET /mailbox/edit: the settings."""
        form, _ = await self._form(request, [])
        return await self.forms.show(request, form)

    async def change(self, request: web.Request) -> web.StreamResponse:
        """POST /mailbox/edit: save, or log in and list the folders."""
        given, viewer = await form_of(request), viewer_of(request)
        form, table = await self._form(request, carried_folders(given.get("folders", "")))
        password = typed_secret(request, given, self.kept) if viewer.may("OWNER") else ""
        form = replace(
            form,
            hidden={**form.hidden, "kept": self.kept.keep(request, password)},
            secrets={"password": password} if password else {},
        )
        faults = moved_faults(table, given, password, _PLACE) if viewer.may("OWNER") else {}
        if given.get("do", "") == "":
            return await self.forms.post(request, form, faults)
        return await self._fetched(request, form, table, faults, password)

    async def _fetched(
        self, request: web.Request, form: TableForm, table: Table, faults: Mapping[str, str], password: str
    ) -> web.StreamResponse:
        """Log in with what the form says, and answer with the folders as choices."""
        fields, given = fields_of(form.sections), await form_of(request)
        meaning = meaning_of(fields, submitted(fields, given), table.values)
        present = self.settings().bounces.imap
        stored = present.password.get_secret_value() if present else ""
        imap, wrong = section_of(Imap, meaning.values, password or stored)
        if present is not None and present.oauth is not None:
            imap, wrong = present, {}  # Its tokens are those of the settings in force.
        faults = {**wrong, **meaning.faults, **faults}
        if imap is None or faults:
            return await self.forms.again(request, form, faults=faults)
        found, fault = await folders_or_fault(self.read, imap)
        viewer = viewer_of(request)
        await self.forms.editor.audit.note(
            "mailbox.test", person=viewer.name, client=viewer.client, subject=imap.host, after=fault or "works"
        )
        if found is None:
            notice = Notice("bad", "The login does not work.", fault)
            return await self.forms.again(request, form, notice, {"host": "The server did not let the relay in."})
        names = [one.name for one in found.folders if one.messages is not None][:MAX_FOLDERS]
        shown, _ = await self._form(request, names)
        notice = Notice("ok", "The server takes the login.", f"{counted(len(names), 'folder')} to choose from.")
        return await self.forms.again(request, replace(shown, hidden={**form.hidden, **shown.hidden}), notice)

    async def _form(self, request: web.Request, folders: Sequence[str]) -> tuple[TableForm, Table]:
        viewer, table = viewer_of(request), await self.forms.editor.read(MAILBOX)
        if not table.exists and not viewer.may("OWNER"):
            raise web.HTTPForbidden(text="This action needs the role owner: a mailbox has a password.")
        given = (await form_of(request)).get("folder", "") if request.method == "POST" else ""
        form = TableForm(
            name=MAILBOX,
            sections=sections(viewer, table, folders, given),
            title="Bounce mailbox",
            lead="Bounces that come back to a mailbox are read from there by IMAP.",
            path="/mailbox/edit",
            back="/mailbox",
            after="/mailbox",
            crumb=("/mailbox", "Bounce mailbox"),
            action="mailbox.change" if table.exists else "mailbox.new",
            is_new=not table.exists,
            buttons=(("test", "Test the login"),),
            hidden={"folders": json.dumps(list(folders))} if folders else {},
        )
        return form, table


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxActions:
    """POST /mailbox/actions."""

    confirmations: ConfirmationPages
    editor: TableEditor

    def __post_init__(self) -> None:
        self.confirmations.actions["mailbox.remove"] = Action(Role.OWNER, _question, self._remove)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Ask about the removal of the mailbox."""
        action = (await form_of(request)).get("action", "")
        if action != "mailbox.remove":
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        table = await table_to_change(self.editor, MAILBOX, "Remove")
        name = str(table.values.get("host", ""))
        return await self.confirmations.ask(request, action, [name], {"version": table.version}, "/mailbox")

    async def _remove(self, plan: Plan) -> Done:
        edit = Edit(MAILBOX, None, plan.detail["version"], plan.action)
        return await changed(self.editor, edit, "The bounce mailbox is not read any more.")


def _question(plan: Plan) -> Question:
    text = "Bounces that come back to it are not counted any more. Its password is deleted, its mail stays there."
    return Question(f"Remove the bounce mailbox at {plan.keys[0]}?", (text,), "Remove it", "Keep it", is_danger=True)


def carried_folders(text: str) -> Sequence[str]:
    """Return the folders that a form carries; none if it does not."""
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)][:MAX_FOLDERS] if isinstance(found, list) else []


def sections(viewer: Viewer, table: Table, folders: Sequence[str], given: str) -> Sequence[Section]:
    """Return the fields that this person may change. Only owners change the account."""
    text = "The folders that are read, and what follows for mail that was read."
    parts = [Section("Folder", text, _folder(table, folders, given))]
    if not viewer.may("OWNER"):
        return parts
    account = [
        FormField(key="host", label="Server name", required=True, placeholder="imap.provider.example"),
        FormField(key="port", label="Port", kind="number", placeholder="993", hint="993, or 143 with STARTTLS"),
        FormField(
            key="tls",
            label="Encryption",
            kind="select",
            options=tls_options("implicit", "starttls", "none"),
            usual=TLS_TEXTS["implicit"],
        ),
        FormField(key="username", label="User name", required=True, hint="Often the address that bounces come to"),
    ]
    if "oauth" not in table.values:
        account.append(FormField(key="password", label="Password", kind="secret", hint=secret_hint(table)))
    return [Section("Account", "The mailbox that bounces come to.", account), *parts]


def _folder(table: Table, folders: Sequence[str], given: str) -> Sequence[FormField]:
    present = given or str(table.values.get("folder", "INBOX"))
    names = dict.fromkeys((*folders, present))
    hint = f"{counted(len(folders), 'folder')} of the server" if folders else "Fetch them from the server to choose."
    return (
        FormField(
            key="folder",
            label="Folder to watch",
            kind="select" if folders else "text",
            options=[Option(one, one) for one in names] if folders else (),
            placeholder="INBOX",
            usual="INBOX",
            hint=hint,
            button="Fetch folders",
        ),
        FormField(key="handled", label="Mail that was read", kind="select", options=_HANDLED, usual=_HANDLED[0].text),
        FormField(
            key="handled_folder",
            label="Folder for it",
            placeholder="Handled",
            usual="Handled",
            hint="Made if it is not there",
        ),
        FormField(key="interval", label="Interval", placeholder="1m", usual="1m", hint="Such as 30s or 5m"),
    )
