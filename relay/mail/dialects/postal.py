"""The header fields of Postal (github.com/postalserver/postal): a tag, and a switch for tracking."""

from collections.abc import Iterator

from relay.mail.dialects.field_values import DialectContext, VendorField, tag
from relay.mail.instructions import Ignored, Option, Statement


def _track(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    if one.text.lower() != "skip":
        yield one.says(Ignored("not skip"))
        return
    yield one.says(Option("opens", False))
    yield one.says(Option("clicks", "off"))


FIELDS = {"x-postal-tag": tag, "x-amp": _track}
