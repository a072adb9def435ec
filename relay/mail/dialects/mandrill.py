"""The header fields of Mandrill (Mailchimp Transactional, "Using SMTP headers")."""

from collections.abc import Iterator
from datetime import UTC, datetime

from relay.mail.dialects.field_values import (
    DialectContext,
    Reader,
    VendorField,
    copy,
    json_object,
    metadata,
    metadata_items,
    not_done,
    pool,
    tags_by_comma,
    template,
)
from relay.mail.instructions import Ignored, Option, Statement

_YES = ("true", "on", "yes", "y")

_NO = ("false", "off", "no", "n")

_CLICKS = {"clicks": "all", "clicks_all": "all", "clicks_htmlonly": "html"}

_TEXT_ONLY = "clicks_textonly"


def _track(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read the list of what is tracked: what it does not name is off."""
    words = [word.strip().lower() for word in one.text.split(",") if word.strip()]
    clicks = next((_CLICKS[word] for word in words if word in _CLICKS), "off")
    yield one.says(Option("opens", "opens" in words))
    yield one.says(Option("clicks", clicks))
    for word in words:
        if word == _TEXT_ONLY:
            yield one.says(Ignored("text only is not done"))
        elif word != "opens" and word not in _CLICKS and word not in _NO:
            yield one.says(Ignored("not opens, clicks, clicks_all, clicks_htmlonly or clicks_textonly"))


def _metadata(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    """Read metadata of all recipients; that of one recipient is ignored."""
    found = json_object(one)
    if "_rcpt" in found:
        yield one.says(Ignored("metadata of one recipient is not kept"), "_rcpt")
        return
    yield from metadata_items(one, "", found)


def _send_at(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    try:
        moment = datetime.strptime(one.text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        yield one.says(Ignored("not a time of the form YYYY-MM-DD HH:MM:SS in UTC"))
        return
    yield one.says(Option("send_at", moment.timestamp()))


def _important(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    word = one.text.lower()
    if word in _YES:
        yield one.says(Option("priority", "high"))
    elif word not in _NO:
        yield one.says(Ignored("not true or false"))


FIELDS: dict[str, Reader] = {
    "x-mc-tags": tags_by_comma,
    "x-mc-track": _track,
    "x-mc-metadata": _metadata,
    "x-mc-sendat": _send_at,
    "x-mc-important": _important,
    "x-mc-bccaddress": copy,
    "x-mc-ippool": pool,
    "x-mc-subaccount": metadata("subaccount"),
    "x-mc-template": template,
    "x-mc-mergevars": template,
    "x-mc-preserverecipients": not_done,
    "x-mc-viewcontentlink": not_done,
    "x-mc-urlstripqs": not_done,
    "x-mc-trackingdomain": not_done,
    "x-mc-returnpathdomain": not_done,
    "x-mc-googleanalytics": not_done,
    "x-mc-googleanalyticscampaign": not_done,
    "x-mc-inlinecss": not_done,
    "x-mc-autotext": not_done,
    "x-mc-autohtml": not_done,
    "x-mc-mergelanguage": not_done,
}
