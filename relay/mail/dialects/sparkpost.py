"""The header field of SparkPost: X-MSYS-API, a JSON object (SparkPost/developers.sparkpost.com, "SMTP API")."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from relay.mail.canonical_address import canonical
from relay.mail.dialects.field_values import (
    NOT_DONE,
    SHOWN,
    DialectContext,
    VendorField,
    bypass,
    copy_to,
    json_object,
    metadata_items,
    pool_named,
    read_keys,
    text_items,
)
from relay.mail.instructions import Content, Ignored, InstructionError, Metadata, Option, Statement, Tag

NAME = "x-msys-api"

_NO_FLAG = Ignored("not true or false")


def read(found: Sequence[VendorField], context: DialectContext) -> Iterator[Statement]:
    """Yield the statements of the first X-MSYS-API."""
    for one in found[1:]:
        yield one.says(Ignored("a second X-MSYS-API is ignored"))
    for one in found[:1]:
        value = json_object(one)
        yield from read_keys(one, value, _readers(one, value, context))


def _readers(
    one: VendorField, value: Mapping[str, Any], context: DialectContext
) -> Mapping[str, Callable[[str, Any], Iterable[Statement]]]:
    return {
        "campaign_id": partial(_campaign, one, is_campaign=_is_campaign(value)),
        "metadata": partial(metadata_items, one),
        "tags": lambda key, tags: text_items(one, key, tags, Tag),
        "cc": partial(_visible_copies, one, context),
        "bcc": partial(_copies, one),
        "archive": partial(_copies, one),
        "options": partial(_options, one, context),
        "substitution_data": lambda key, _: [one.says(Ignored("the vendor ignores it too"), key)],
    }


def _is_campaign(value: Mapping[str, Any]) -> bool:
    """Whether the message is campaign mail: it must say so, though the vendor takes an absent option for it."""
    options = value.get("options")
    return isinstance(options, Mapping) and options.get("transactional") is False


def _campaign(one: VendorField, key: str, value: object, *, is_campaign: bool) -> Iterator[Statement]:
    if not isinstance(value, str):
        yield one.says(Ignored("not text"), key)
    elif is_campaign:
        yield one.says(Option("campaign", value), key)
    else:
        yield one.says(Metadata("campaign_id", value), key)


def _visible_copies(one: VendorField, context: DialectContext, key: str, value: object) -> Iterator[Statement]:
    """Accept recipients that the envelope has. Others would get nothing, so the message is refused."""
    for entry in value if isinstance(value, list) else [value]:
        address = _address(entry)
        if not isinstance(address, str) or canonical(address) not in context.recipients:
            raise InstructionError(f'{one.name}: "{key}" names a recipient that RCPT TO does not; name each in RCPT TO')
    return iter(())


def _copies(one: VendorField, key: str, value: object) -> Iterator[Statement]:
    if not isinstance(value, list):
        yield one.says(Ignored("not a list"), key)
        return
    for entry in value:
        yield one.says(copy_to(_address(entry)), key)


def _address(entry: object) -> object:
    """Return the address of an entry, which is an object with "email", or the address itself."""
    return entry.get("email") if isinstance(entry, Mapping) else entry


def _options(one: VendorField, context: DialectContext, key: str, value: object) -> Iterator[Statement]:
    if not isinstance(value, Mapping):
        yield one.says(Ignored("not an object"), key)
        return
    for name, given in value.items():
        read_option = _OPTIONS.get(name)
        content = Ignored("unknown key") if read_option is None else read_option(given, context)
        if content is not None:
            yield one.says(content, f"{key}.{name[:SHOWN]}")


def _transactional(value: object, _: DialectContext) -> Content | None:
    """Return nothing for a switch: `campaign_id` depends on it."""
    return None if isinstance(value, bool) else _NO_FLAG


def _start_time(value: object, _: DialectContext) -> Content:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            return Option("send_at", moment.timestamp())
    except (ValueError, OverflowError):
        pass
    return Ignored("not a time by RFC 3339 with its zone")


def _if_true(value: object, content: Content) -> Content | None:
    if not isinstance(value, bool):
        return _NO_FLAG
    return content if value else None


_OPTIONS: Mapping[str, Callable[[object, DialectContext], Content | None]] = {
    "open_tracking": lambda value, _: Option("opens", value) if isinstance(value, bool) else _NO_FLAG,
    "click_tracking": lambda value, _: (
        Option("clicks", "all" if value else "off") if isinstance(value, bool) else _NO_FLAG
    ),
    "transactional": _transactional,
    "sandbox": lambda value, _: _if_true(value, Option("sandbox", True)),
    "skip_suppression": lambda value, context: _if_true(value, bypass(context)),
    "start_time": _start_time,
    "ip_pool": pool_named,
    "inline_css": lambda value, _: _if_true(value, NOT_DONE),
}
