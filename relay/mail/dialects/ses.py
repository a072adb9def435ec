"""The header fields of Amazon SES (Amazon SES Developer Guide; Symfony and Laravel for the list options)."""

import re
from collections.abc import Iterator

from relay.mail.dialects.field_values import DialectContext, Reader, VendorField, metadata, not_done
from relay.mail.instructions import Ignored, Metadata, Option, Statement

_PAIR = re.compile(r"\s*+([A-Za-z0-9_-]++)\s*+=(.*)", re.DOTALL)
"""Blanks around the value are stripped afterwards: a pattern that leaves them out takes quadratic time."""


def _message_tags(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read `name=value, name=value`."""
    for pair in filter(str.strip, one.text.split(",")):
        found = _PAIR.fullmatch(pair)
        yield one.says(Metadata(found[1], found[2].strip()) if found else Ignored("not name=value, name=value"))


def _list_options(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read `list; topic=name`, also with `contactListName=` and `topicName=`: the campaign is the topic, else the list.

    Three spellings are in use: that of the vendor's guide, and those of two libraries.
    """
    first, _separator, rest = one.text.partition(";")
    topics = (found for part in rest.split(";") if (found := _PAIR.fullmatch(part)))
    topic = next((found[2].strip() for found in topics if found[1].lower() in ("topic", "topicname")), "")
    contacts = first.strip()
    if contacts.lower().startswith("contactlistname"):
        contacts = contacts.partition("=")[2].strip()
    yield one.says(Option("campaign", topic or contacts) if topic or contacts else Ignored("no list"))


FIELDS: dict[str, Reader] = {
    "x-ses-configuration-set": metadata("configuration_set"),
    "x-ses-message-tags": _message_tags,
    "x-ses-list-management-options": _list_options,
    "x-ses-source-arn": not_done,
    "x-ses-from-arn": not_done,
    "x-ses-return-path-arn": not_done,
    "x-ses-tenant": not_done,
}
