"""Fields of forms that stand for keys of a table: their texts, and the values that the texts mean. Pure."""

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "email", "url", "number", "list", "switch", "select", "radio", "maybe", "checks", "secret"]
"""`list`: parted by commas. `checks`: any of several choices. `maybe`: yes, no, or what holds without the key.

`secret`: never shown.
"""

YES, NO = "yes", "no"

MAX_FIELD = 10_000
"""Characters of a field, at most."""

_PARTS = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Option:
    """One of several choices; the empty value leaves the key out."""

    value: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """A field for one key of a table, such as "tracking.opens"."""

    key: str
    label: str
    kind: Kind = "text"
    hint: str = ""
    options: Sequence[Option] = ()
    default: object = None
    """What holds while the table does not have the key: the state of a switch, or the text of a field without one."""
    placeholder: str = ""
    usual: str = ""
    """The default as text, for a form that is shown read-only."""
    required: bool = False
    is_stored: bool = True
    """False for a field that is no key of the table."""
    button: str = ""
    """Text of a button beside the field. It sends the form with `do` as the key of the field."""


@dataclass(frozen=True, slots=True)
class Section:
    """Fields that belong together, under a heading."""

    title: str
    text: str
    fields: Sequence[FormField]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the texts of a form mean: the values of the table, new secrets, and the faults of fields by key."""

    values: Mapping[str, Any]
    secrets: Mapping[str, str]
    faults: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Overlap:
    """A field that somebody else changed meanwhile. `yours` is another text than both, "" if there is none."""

    label: str
    was: str
    now: str
    yours: str = ""


def fields_of(sections: Iterable[Section]) -> Sequence[FormField]:
    """Return the fields of all sections."""
    return [one for section in sections for one in section.fields]


def texts_of(fields: Iterable[FormField], values: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each field for the values of a table."""
    return {field.key: _text(field, _at(values, field.key)) for field in fields}


def submitted(fields: Iterable[FormField], form: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each field as a browser sent it. A switch that is off is not sent."""
    return {one.key: _sent(one, form).strip()[:MAX_FIELD] for one in fields}


def _sent(field: FormField, form: Mapping[str, str]) -> str:
    if field.kind == "checks":
        return ", ".join(one.value for one in field.options if form.get(check_name(field, one)) == YES)
    return form.get(field.key, NO if field.kind == "switch" else "")


def check_name(field: FormField, option: Option) -> str:
    """Return the name under which a browser sends one of several choices."""
    return f"{field.key}:{option.value}"


def meaning_of(fields: Iterable[FormField], texts: Mapping[str, str], present: Mapping[str, Any]) -> Meaning:
    """Return what the texts mean for a table with these values. Keys without a field stay as they are."""
    values, secrets, faults = copy.deepcopy(dict(present)), dict[str, str](), dict[str, str]()
    for field in fields:
        text = texts[field.key]
        if field.required and not text:
            faults[field.key] = "Something is needed here."
        if not field.is_stored or field.key in faults:
            continue
        if field.kind == "secret":
            if text:
                secrets[field.key] = text
                _put(values, field.key, None)
                _put(values, f"{field.key}_file", None)
            continue
        try:
            value = _choice(field, text, _at(present, field.key)) if field.kind == "checks" else _value(field, text)
        except ValueError as error:
            faults[field.key] = str(error)
            continue
        has_default = field.kind in ("switch", "radio", "checks")
        is_default = has_default and value == field.default and _at(present, field.key) is None
        _put(values, field.key, None if is_default else value)
    return Meaning(values, secrets, faults)


def base_text(texts: Mapping[str, str]) -> str:
    """Return the texts that a form began with, for the form to carry."""
    return json.dumps(dict(texts), ensure_ascii=False)


def base_texts(text: str) -> Mapping[str, str]:
    """Return the texts that a form began with; none if it does not carry them."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {key: one for key, one in found.items() if isinstance(one, str)} if isinstance(found, dict) else {}


def merged(
    fields: Iterable[FormField], yours: Mapping[str, str], base: Mapping[str, str], present: Mapping[str, str]
) -> tuple[dict[str, str], Sequence[Overlap]]:
    """Return the texts of a form after somebody else changed the table, and the fields that were changed.

    What the reader left alone gets the present text, and the rest keeps that of the reader.
    """
    texts, overlaps = dict(yours), list[Overlap]()
    for field in fields:
        was, now, own = (one.get(field.key, "") for one in (base, present, yours))
        if was == now or field.kind == "secret":
            continue
        if own == was:
            texts[field.key] = now
        shown = [shown_text(field, one) for one in (was, now, own if own not in (was, now) else "")]
        overlaps.append(Overlap(field.label, shown[0], shown[1], shown[2] if own not in (was, now) else ""))
    return texts, overlaps


def shown_text(field: FormField, text: str) -> str:
    """Return the text of a field for readers: the words of a choice, "nothing" for an empty one."""
    words = {one.value: one.text for one in field.options}
    if field.kind == "checks":
        return ", ".join(words.get(one, one) for one in text.split(", ")) or "nothing"
    return words.get(text, text) or "nothing"


def _text(field: FormField, value: Any) -> str:
    match field.kind:
        case "secret":
            return ""
        case "switch":
            return YES if (field.default if value is None else value) else NO
        case "maybe":
            return "" if value is None else YES if value else NO
        case "list" if isinstance(value, list):
            return ", ".join(map(str, value))
        case "checks":
            chosen = field.default if value is None else value
            known = [one.value for one in field.options]
            return ", ".join(one for one in known if one in chosen) if isinstance(chosen, list) else ""
    if value is None:
        return str(field.default or "") if field.kind == "radio" else ""
    return str(value)


def _choice(field: FormField, text: str, present: Any) -> Sequence[str] | None:
    """Return the choices of a text, and the present values that are no choice. None leaves the key out.

    With a default, no choice is an empty list: without the key the default would hold.
    """
    known, was = {one.value for one in field.options}, present if isinstance(present, list) else []
    chosen = [*(text.split(", ") if text else ()), *(one for one in was if one not in known)]
    if set(chosen) == set(was) and was:
        return was
    return chosen or ([] if field.default else None)


def _value(field: FormField, text: str) -> Any:
    """Return the value of a text, None for no value. Raises ValueError with what is wrong."""
    if field.options and text not in {one.value for one in field.options}:
        raise ValueError(f"{text[:80]!r} is not one of the choices.")
    match field.kind:
        case "switch":
            return text == YES
        case "maybe":
            return {YES: True, NO: False}.get(text)
        case "list":
            return [one for one in _PARTS.split(text) if one] or None
        case "number" if text:
            digits = text.replace(",", "")
            if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
                raise ValueError(f"{text[:80]!r} is not a whole number. Allowed: 0 or more.")
            return int(digits)
    return text or None


def _at(values: Mapping[str, Any], key: str) -> Any:
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a value, or remove it if it is None, with the tables around it that become empty."""
    first, _, rest = key.partition(".")
    if not rest:
        if value is None:
            values.pop(first, None)
        else:
            values[first] = value
        return
    inner = values.get(first)
    inner = inner if isinstance(inner, dict) else {}
    _put(inner, rest, value)
    if inner:
        values[first] = inner
    else:
        values.pop(first, None)
