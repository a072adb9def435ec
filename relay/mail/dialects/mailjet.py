"""The header fields of Mailjet (dev.mailjet.com, "Custom headers" and "Using template with SMTP")."""

from collections.abc import Iterator

from relay.mail.dialects.field_values import (
    DialectContext,
    Reader,
    VendorField,
    metadata,
    not_done,
    refuse_template,
    switch,
    template,
)
from relay.mail.instructions import Statement

_TRUE = ("true", "yes", "y", "1")


def _template_language(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Refuse the template language: it fills in the body of the mail itself, also without a template."""
    if one.text.lower() in _TRUE:
        refuse_template(one.name)
    return iter(())


FIELDS: dict[str, Reader] = {
    "x-mj-customid": metadata("custom_id"),
    "x-mj-eventpayload": metadata("event_payload"),
    "x-mailjet-campaign": metadata("campaign"),
    "x-mailjet-trackopen": switch("opens", {"0": False, "1": True, "false": False, "true": True}, "0 or 1"),
    "x-mailjet-trackclick": switch("clicks", {"0": "off", "1": "all", "false": "off", "true": "all"}, "0 or 1"),
    "x-mailjet-deduplicatecampaign": not_done,
    "x-mailjet-prio": not_done,
    "x-mj-trackopens": not_done,
    "x-mj-trackclicks": not_done,
    "x-mj-templateerrorreporting": not_done,
    "x-mj-templateerrordeliver": not_done,
    "x-mj-templatelanguage": _template_language,
    "x-mj-templateid": template,
    "x-mj-vars": template,
}
