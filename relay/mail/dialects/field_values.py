"""Values of vendor header fields, and the statements that several dialects read from them in the same way. Pure."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any, NoReturn

from relay.frozen import dataclass
from relay.mail.address import is_address
from relay.mail.canonical_address import canonical
from relay.mail.dialects.json_fields import parse_json_object
from relay.mail.instructions import (
    Content,
    Copy,
    Ignored,
    InstructionError,
    Metadata,
    Option,
    OptionName,
    Statement,
    Tag,
)

NOT_DONE = Ignored("not done")

SHOWN = 40
"""Characters of a key that an ignored request repeats."""


@dataclass(frozen=True, slots=True)
class DialectContext:
    """What a field can refer to: the envelope, the credential and the configuration."""

    addresses: tuple[str, ...] = ()
    """Recipients of the envelope."""
    content: bytes = b""
    now: float = 0.0
    """Unix seconds."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Campaigns by number of an unsubscribe group (SendGrid)."""
    streams: Mapping[str, str] = field(default_factory=dict)
    """Campaigns by message stream (Postmark)."""
    pools: Collection[str] = ()
    """Known pools of addresses."""
    may_bypass_lists: bool = False
    """Whether the credential may send to excluded addresses."""

    @property
    def recipients(self) -> frozenset[str]:
        """The recipients in their canonical form."""
        return frozenset(map(canonical, self.addresses))


@dataclass(frozen=True, slots=True)
class VendorField:
    """A header field of a dialect: its name as written, and its decoded value on one line."""

    name: str
    text: str

    @property
    def key(self) -> str:
        """The name for comparison."""
        return self.name.lower()

    def says(self, content: Content, key: str = "") -> Statement:
        """Return a statement of this field."""
        return Statement(self.name, content, key)


Reader = Callable[[VendorField, DialectContext], Iterator[Statement]]
"""Reads one field; raises InstructionError for a value that must not be ignored."""


def decoded(name: str, value: bytes) -> VendorField:
    """Return the field of that unfolded value, with encoded words (RFC 2047) decoded. It must be UTF-8."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InstructionError(f"{name}: octet {error.start + 1} is not UTF-8") from None
    if "=?" in text:
        try:
            text = str(make_header(decode_header(text)))
        except (HeaderParseError, LookupError, ValueError):
            pass  # It only looks like an encoded word.
    return VendorField(name, text.strip())


def not_done(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Ignore a field that relay has nothing for."""
    yield one.says(NOT_DONE)


def nothing(_: VendorField, __: DialectContext) -> Iterator[Statement]:
    """Read a field that asks for what relay does anyway."""
    return iter(())


def template(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Refuse a field that asks to fill in a template: readers would get its placeholders."""
    refuse_template(one.name)


def refuse_template(place: str) -> NoReturn:
    """Raise the refusal of templates and merge variables."""
    raise InstructionError(f"{place}: relay does not fill in templates; fill them in before the mail is sent")


def tag(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read a tag."""
    yield one.says(Tag(one.text))


def tags_by_comma(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read a list of tags."""
    for text in filter(None, map(str.strip, one.text.split(","))):
        yield one.says(Tag(text))


def metadata(name: str) -> Reader:
    """Return the reader of a field whose text is the metadata of that name."""

    def read(one: VendorField, _: DialectContext) -> Iterator[Statement]:
        yield one.says(Metadata(name, one.text))

    return read


def metadata_object(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read a JSON object of metadata."""
    return metadata_items(one, "", json_object(one))


def switch(name: OptionName, words: Mapping[str, bool | str], allowed: str) -> Reader:
    """Return the reader of an option with these words, in any case; `allowed` names them."""

    def read(one: VendorField, _: DialectContext) -> Iterator[Statement]:
        value = words.get(one.text.lower())
        yield one.says(Ignored(f"not {allowed}") if value is None else Option(name, value))

    return read


def pool(one: VendorField, context: DialectContext) -> Iterator[Statement]:
    """Read the name of a pool of addresses."""
    yield one.says(pool_named(one.text, context))


def copy(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read an address that gets a copy."""
    yield one.says(copy_to(one.text))


def pool_named(name: object, context: DialectContext) -> Content:
    """Return the option for a pool, if it is known."""
    return Option("pool", name) if isinstance(name, str) and name in context.pools else Ignored("unknown pool")


def copy_to(address: object) -> Content:
    """Return the copy to an address, if it is one."""
    is_valid = isinstance(address, str) and is_address(address.strip())
    return Copy(str(address).strip()) if is_valid else Ignored("not an address")


def bypass(context: DialectContext) -> Content:
    """Return the option to send to excluded addresses, if the credential may."""
    return Option("ignore_lists", True) if context.may_bypass_lists else Ignored("this login may not")


def json_object(one: VendorField) -> dict[str, Any]:
    """Return the JSON object of a field. Raises InstructionError."""
    return parse_json_object(one.name, one.text)


def metadata_items(one: VendorField, key: str, value: object) -> Iterator[Statement]:
    """Yield the metadata of a JSON object. Values that are no text become compact JSON."""
    if not isinstance(value, dict):
        yield one.says(Ignored("not an object"), key)
        return
    for name, item in value.items():
        yield one.says(Metadata(name, item if isinstance(item, str) else _compact(item)), key)


def text_items(one: VendorField, key: str, value: object, make: Callable[[str], Content]) -> Iterator[Statement]:
    """Yield a statement for each text of a JSON list."""
    if not isinstance(value, list):
        yield one.says(Ignored("not a list"), key)
        return
    for item in value:
        yield one.says(make(item) if isinstance(item, str) else Ignored("not text"), key)


def read_keys(
    one: VendorField, found: Mapping[str, Any], readers: Mapping[str, Callable[[str, Any], Iterable[Statement]]]
) -> Iterator[Statement]:
    """Yield the statements of the keys of an object, in the order of the readers. Other keys are unknown."""
    for key, read in readers.items():
        if key in found:
            yield from read(key, found[key])
    for key in found:
        if key not in readers:
            yield one.says(Ignored("unknown key"), key[:SHOWN])


def is_whole_number(value: object) -> bool:
    """Whether a JSON value is a whole number. Python takes true and false for numbers too."""
    return isinstance(value, int) and not isinstance(value, bool)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
