"""Pages with a form for one table of the configuration: shown, saved, refused with the faults at their fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from relay.config.table_files import Table, TableName, place_text
from relay.console.form_fields import (
    FormField,
    Meaning,
    Overlap,
    Section,
    base_text,
    base_texts,
    check_name,
    fields_of,
    meaning_of,
    merged,
    shown_text,
    submitted,
    texts_of,
)
from relay.console.forms import form_of
from relay.console.layout import SAVED, Layout
from relay.console.notices import Notice
from relay.console.roles import viewer_of
from relay.people.table_editor import Edit, Refused, Saved, Stale, TableEditor
from relay.people.table_faults import faults_by_key

Check = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, str]]
"""Returns the faults by key of a change, from the values of a table to others."""


def no_faults(_before: Mapping[str, Any], _after: Mapping[str, Any]) -> Mapping[str, str]:
    """Allow each change."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableForm:
    """A form for one table."""

    name: TableName
    sections: Sequence[Section]
    title: str
    lead: str = ""
    path: str
    """Where the form is sent to."""
    back: str
    """The page that follows without saving."""
    after: str
    """The page that follows a change."""
    crumb: tuple[str, str]
    """Address and title of the list."""
    action: str
    """Name of the change in the audit."""
    button: str = "Save changes"
    is_new: bool = False
    buttons: Sequence[tuple[str, str]] = ()
    """Further buttons: what they send as `do`, and their texts."""
    hidden: Mapping[str, str] = field(default_factory=dict)
    """What the form carries beside its fields."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Values that the server makes."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Secrets beside those that were typed."""
    code: tuple[str, str] = ("", "")
    """Title and text of a secret that is shown once, after it was saved."""
    check: Check = no_faults
    """What this person may change."""

    @property
    def has_buttons(self) -> bool:
        """Whether the form has other buttons than the one that saves."""
        return bool(self.buttons or any(one.button for one in fields_of(self.sections)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormState:
    """What the page shows beside the form itself."""

    texts: Mapping[str, str]
    version: str = ""
    base: str = ""
    faults: Mapping[str, str]
    """By key; "" has those that concern no field."""
    overlaps: Sequence[Overlap] = ()
    person: str = ""
    """Who made the other change."""
    place: str = ""
    """Where the table stands, if it is read only."""
    blocked: str = ""
    """Why nothing can be changed on this server."""
    is_stale: bool = False

    @property
    def others(self) -> Sequence[str]:
        """The faults that concern no field."""
        return [one for one in self.faults.get("", "").split("\n") if one]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableForms:
    """Answers the requests of forms."""

    layout: Layout
    editor: TableEditor

    async def show(
        self, request: web.Request, form: TableForm, texts: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Answer with the form. `texts` take the place of what the table has."""
        table = await self.editor.read(form.name)
        found = {**texts_of(fields_of(form.sections), table.values), **(texts or {})}
        return await self._page(request, form, table, found, {}, blocked=await self.editor.fault())

    async def post(
        self, request: web.Request, form: TableForm, faults: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Save the values of the form, and redirect to the page that follows. `faults` were found before.

        Raises HTTPSeeOther, and StoreError.
        """
        given, fields = await form_of(request), fields_of(form.sections)
        texts, table = submitted(fields, given), await self.editor.read(form.name)
        before, version = ({}, "") if form.is_new else (table.values, given.get("version", ""))
        meaning = meaning_of(fields, texts, before)
        refused = form.check(before, meaning.values)
        if refused and version != table.version:
            return await self._stale(request, form, table, texts, given, "")
        if wrong := {**refused, **meaning.faults, **(faults or {})}:
            return await self._page(request, form, table, texts, wrong, given)
        viewer, edit = viewer_of(request), _edit(form, meaning, version)
        match await self.editor.save(edit, person=viewer.name, client=viewer.client):
            case Saved():
                return await self._saved(request, form)
            case Stale(present, person):
                return await self._stale(request, form, present, texts, given, person)
            case Refused(found_faults, others):
                found = dict(faults_by_key(found_faults, form.name, table.file, [one.key for one in fields]))
                rest = "\n".join(filter(None, (found.get("", ""), *others)))
                found |= {"": rest} if rest else {}
                return await self._page(request, form, table, texts, found, given)

    async def again(
        self,
        request: web.Request,
        form: TableForm,
        notice: Notice | None = None,
        faults: Mapping[str, str] | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Answer with a form as it was sent, and what one of its other buttons found. Nothing is saved.

        `texts` take the place of those that were sent.
        """
        given, fields = await form_of(request), fields_of(form.sections)
        sent = {**submitted(fields, given), **(texts or {})}
        table = await self.editor.read(form.name)
        return await self._page(request, form, table, sent, faults or {}, given, notice)

    async def _saved(self, request: web.Request, form: TableForm) -> web.StreamResponse:
        """Lead to the page that follows, or show once what the server made. Raises HTTPSeeOther."""
        title, code = form.code
        if not code:
            raise web.HTTPSeeOther(f"{form.after}?{SAVED}=1")
        what = f"{form.name.name} is saved."
        return await self.layout.page(
            request,
            "done.html",
            title="Done",
            what=what,
            follows="",
            state="ok",
            code=code,
            code_label=title,
            back=form.after,
        )

    async def _page(
        self,
        request: web.Request,
        form: TableForm,
        table: Table,
        texts: Mapping[str, str],
        faults: Mapping[str, str],
        given: Mapping[str, str] | None = None,
        notice: Notice | None = None,
        blocked: str = "",
    ) -> web.StreamResponse:
        """Answer with the form. One that was sent keeps its version, so that other changes show at the next try."""
        state = FormState(
            texts=texts,
            version=table.version if given is None else given.get("version", ""),
            base=base_text(texts) if given is None else given.get("was", ""),
            faults=faults,
            place=place_text(table.elsewhere) if table.elsewhere and not form.is_new else "",
            blocked=blocked,
        )
        status = 400 if faults and given is not None else 200
        return await self._shown(request, form, state, status, notice=notice)

    async def _stale(
        self,
        request: web.Request,
        form: TableForm,
        present: Table,
        texts: Mapping[str, str],
        given: Mapping[str, str],
        person: str,
    ) -> web.StreamResponse:
        """Answer with both changes: the reader decides, and what the form says next is about the present table."""
        known = [one for one in fields_of(form.sections) if one.is_stored]
        now = texts_of(known, present.values)
        both, overlaps = merged(known, texts, base_texts(given.get("was", "")), now)
        if form.is_new or not present.exists:
            both, overlaps = dict(texts), ()
        state = FormState(
            texts=both,
            version=present.version,
            base=base_text({**both, **now}),
            faults={},
            overlaps=overlaps,
            person=person,
            is_stale=True,
        )
        return await self._shown(request, form, state, 409, is_gone=not present.exists)

    async def _shown(
        self,
        request: web.Request,
        form: TableForm,
        state: FormState,
        status: int,
        *,
        is_gone: bool = False,
        notice: Notice | None = None,
    ) -> web.StreamResponse:
        return await self.layout.page(
            request,
            "table_form.html",
            title=form.title,
            status=status,
            form=form,
            state=state,
            is_gone=is_gone,
            notice=notice,
            check_name=check_name,
            labels={one.key: one.label for one in fields_of(form.sections)},
            shown=_shown_text,
        )


def _edit(form: TableForm, meaning: Meaning, version: str) -> Edit:
    """Return the change that a form means. A new secret takes the place of the present one."""
    replaced = {name for key in form.secrets for name in (key, f"{key}_file")}
    values = {key: value for key, value in meaning.values.items() if key not in replaced}
    return Edit(form.name, {**values, **form.made}, version, form.action, {**meaning.secrets, **form.secrets})


def _shown_text(field: FormField, text: str) -> str:
    if field.kind == "secret":
        return "–"
    is_default = field.kind == "number" and not text and field.placeholder
    usual = field.usual or (field.placeholder if is_default else "")
    return f"{usual}, by default" if usual and not text else shown_text(field, text)
