"""The header fields of Postmark (postmarkapp.com, "Send with SMTP"; the bridge of Symfony)."""

from collections.abc import Iterator

from relay.mail.dialects.field_values import DialectContext, Reader, VendorField, nothing, switch, tag
from relay.mail.instructions import Ignored, Metadata, Option, Statement

METADATA_PREFIX = "x-pm-metadata-"
"""Begin of fields whose name ends with the key of metadata."""

_LINKS = {"none": "off", "htmlandtext": "all", "htmlonly": "html"}

_TRANSACTIONAL = "outbound"
"""The stream that every server has for transactional mail."""


def _track_links(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    word = one.text.lower()
    if word == "textonly":
        yield one.says(Ignored("text only is not done"))
    elif word in _LINKS:
        yield one.says(Option("clicks", _LINKS[word]))
    else:
        yield one.says(Ignored("not one of None, HtmlAndText, HtmlOnly, TextOnly"))


def _stream(one: VendorField, context: DialectContext) -> Iterator[Statement]:
    if one.text in context.streams:
        yield one.says(Option("campaign", context.streams[one.text]))
    elif one.text != _TRANSACTIONAL:
        yield one.says(Metadata("stream", one.text))


FIELDS: dict[str, Reader] = {
    "x-pm-tag": tag,
    "x-pm-trackopens": switch("opens", {"true": True, "false": False}, "true or false"),
    "x-pm-tracklinks": _track_links,
    "x-pm-message-stream": _stream,
    "x-pm-keepid": nothing,
}
