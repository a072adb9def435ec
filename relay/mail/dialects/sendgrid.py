"""The header field of SendGrid: X-SMTPAPI, a JSON object (sendgrid/docs, "Building an X-SMTPAPI header")."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.canonical_address import canonical
from relay.mail.dialects.field_values import (
    NOT_DONE,
    SHOWN,
    DialectContext,
    VendorField,
    bypass,
    copy_to,
    is_whole_number,
    json_object,
    metadata_items,
    pool_named,
    read_keys,
    refuse_template,
    text_items,
)
from relay.mail.instructions import Content, Ignored, InstructionError, Option, Statement, Tag

NAME = "x-smtpapi"

CAMPAIGN = "sendgrid"
"""Campaign of mail with subscription tracking and without an unsubscribe group."""

_OWN_CAMPAIGN = Option("campaign", CAMPAIGN)

_ENABLED: Mapping[object, bool] = {0: False, 1: True, "0": False, "1": True}
"""True and false are equal to 1 and 0."""

_KeyReader = Callable[[str, Any], Iterable[Statement]]


def read(found: Sequence[VendorField], context: DialectContext) -> Iterator[Statement]:
    """Yield the statements of the first X-SMTPAPI. The vendor ignores a second one too."""
    for one in found[1:]:
        yield one.says(Ignored("a second X-SMTPAPI is ignored"))
    for one in found[:1]:
        yield from read_object(one, json_object(one), context)


def read_object(one: VendorField, value: Mapping[str, Any], context: DialectContext) -> Iterator[Statement]:
    """Yield the statements of the object of a field. Raises InstructionError for a value to refuse."""
    has_group = is_whole_number(value.get("asm_group_id")) and bool(value["asm_group_id"])
    for said in read_keys(one, value, _readers(one, context)):
        if not (has_group and said.content == _OWN_CAMPAIGN):
            yield said


def _readers(one: VendorField, context: DialectContext) -> Mapping[str, _KeyReader]:
    return {
        "to": partial(_recipients, one, context),
        "sub": partial(_substitutions, one),
        "section": partial(_substitutions, one),
        "category": partial(_category, one),
        "unique_args": partial(metadata_items, one),
        "send_at": partial(_send_at, one),
        "send_each_at": partial(_not_done, one),
        "asm_group_id": partial(_group, one, context),
        "asm_groups_to_display": partial(_not_done, one),
        "ip_pool": lambda key, value: [one.says(pool_named(value, context), key)],
        "filters": partial(_filters, one, context),
    }


def _recipients(one: VendorField, context: DialectContext, key: str, value: object) -> Iterator[Statement]:
    """Accept a list of the recipients of the envelope. The vendor replaces these by others; relay refuses to."""
    given = value if isinstance(value, list) else [value]
    named = {canonical(address) for entry in given for address in _addresses(entry)}
    if named != context.recipients:
        raise InstructionError(f'{one.name}: "{key}" names other recipients than RCPT TO; name each in RCPT TO')
    return iter(())


def _addresses(entry: object) -> tuple[str, ...]:
    found = parse_address_list(entry) if isinstance(entry, str) else ()
    return (str(entry),) if isinstance(found, Unreadable) else tuple(mailbox.address for mailbox in found)


def _substitutions(one: VendorField, key: str, value: object) -> Iterator[Statement]:
    if _has_text(value):
        refuse_template(f'{one.name}: "{key}"')
    return iter(())


def _has_text(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_text, value.values()))
    return any(map(_has_text, value)) if isinstance(value, list) else bool(value)


def _category(one: VendorField, key: str, value: object) -> Iterator[Statement]:
    if isinstance(value, list):
        yield from text_items(one, key, value, partial(Tag, in_list=True))
    else:
        yield one.says(Tag(value) if isinstance(value, str) else Ignored("not text"), key)


def _send_at(one: VendorField, key: str, value: object) -> Iterator[Statement]:
    is_time = is_whole_number(value) and 0 <= value < 2**40  # type: ignore[operator]
    yield one.says(Option("send_at", float(value)) if is_time else Ignored("not a number"), key)  # type: ignore[arg-type]


def _group(one: VendorField, context: DialectContext, key: str, value: object) -> Iterator[Statement]:
    """Read the unsubscribe group: the campaign configured for it, else a name from its number."""
    if not is_whole_number(value):
        yield one.says(Ignored("not a number"), key)
    elif value:
        yield one.says(Option("campaign", context.groups.get(str(value), f"asm-{value}")), key)


def _not_done(one: VendorField, key: str, _: object) -> Iterator[Statement]:
    yield one.says(NOT_DONE, key)


def _filters(one: VendorField, context: DialectContext, key: str, value: object) -> Iterator[Statement]:
    """Read the filters: each is an object with "settings", of which "enable" decides."""
    if not isinstance(value, Mapping):
        yield one.says(Ignored("not an object"), key)
        return
    for name, given in value.items():
        place = f"{key}.{name[:SHOWN]}"
        settings = given.get("settings") if isinstance(given, Mapping) else None
        if not isinstance(settings, Mapping):
            yield one.says(Ignored('not an object with "settings"'), place)
        elif name in _FILTERS:
            yield from _FILTERS[name](one, place, settings, context)
        else:
            yield one.says(Ignored("unknown filter"), place)


def _enabled(settings: Mapping[str, Any], key: str = "enable") -> bool | None:
    """Return whether a filter is on, None for a value that is no switch."""
    value = settings.get(key)
    return _ENABLED.get(value) if isinstance(value, int | str) else None


def _clicks(one: VendorField, place: str, settings: Mapping[str, Any], _: DialectContext) -> Iterator[Statement]:
    enabled = _enabled(settings)
    if enabled is None:
        yield one.says(Ignored("enable is not 0 or 1"), place)
        return
    links = "html" if _enabled(settings, "enable_text") is False else "all"
    yield one.says(Option("clicks", links if enabled else "off"), place)


def _opens(one: VendorField, place: str, settings: Mapping[str, Any], _: DialectContext) -> Iterator[Statement]:
    enabled = _enabled(settings)
    yield one.says(Ignored("enable is not 0 or 1") if enabled is None else Option("opens", enabled), place)
    if enabled and "replace" in settings:
        yield one.says(_text_option("pixel_text", settings["replace"]), f"{place}.replace")


def _unsubscribe(one: VendorField, place: str, settings: Mapping[str, Any], _: DialectContext) -> Iterator[Statement]:
    """Read subscription tracking: it makes the message campaign mail; the URL of the page replaces a text."""
    if not _enabled(settings):
        return
    yield one.says(_OWN_CAMPAIGN, place)
    replaced = settings.get("replace")
    if replaced:
        yield one.says(_text_option("unsubscribe_text", replaced), f"{place}.replace")
    for footer in ("text/html", "text/plain"):
        if footer in settings:
            yield one.says(Ignored("overridden by replace") if replaced else NOT_DONE, f"{place}.{footer}")


def _text_option(name: str, value: object) -> Content:
    """Return the option that replaces a text; a blank one would be found everywhere."""
    if not isinstance(value, str) or not value.strip():
        return Ignored("not text")
    return Option("pixel_text" if name == "pixel_text" else "unsubscribe_text", value)


def _bypass(one: VendorField, place: str, settings: Mapping[str, Any], context: DialectContext) -> Iterator[Statement]:
    if _enabled(settings):
        yield one.says(bypass(context), place)


def _bcc(one: VendorField, place: str, settings: Mapping[str, Any], _: DialectContext) -> Iterator[Statement]:
    if _enabled(settings):
        yield one.says(copy_to(settings.get("email")), place)


def _template(one: VendorField, place: str, settings: Mapping[str, Any], _: DialectContext) -> Iterator[Statement]:
    if _enabled(settings):
        refuse_template(f'{one.name}: "{place}"')
    return iter(())


def _unsupported(one: VendorField, place: str, settings: Mapping[str, Any], _: DialectContext) -> Iterator[Statement]:
    if _enabled(settings) is not False:
        yield one.says(NOT_DONE, place)


_FILTERS: Mapping[str, Callable[[VendorField, str, Mapping[str, Any], DialectContext], Iterator[Statement]]] = {
    "clicktrack": _clicks,
    "opentrack": _opens,
    "subscriptiontrack": _unsubscribe,
    "bypass_list_management": _bypass,
    "bcc": _bcc,
    "template": _template,
    "templates": _template,
    "dkim": _unsupported,
    "footer": _unsupported,
    "ganalytics": _unsupported,
    "spamcheck": _unsupported,
}
