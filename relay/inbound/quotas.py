"""Quotas of inbound mail: what one address, client network or author can cause. Pure.

Mail that is forwarded sends mail to others, outside the limits of identities; mail that is only recorded grows the
store. Both are bounded by the address it came to, and by the network and the author that sent it there. An address that
is public has no quota of its own, apart from the daily limit of its identity. Each recipient of a mail counts.
"""

from collections.abc import Sequence
from typing import assert_never

from relay.config.settings import Settings
from relay.inbound.addresses import (
    CcAddress,
    ExpiredAddress,
    IdentityAddress,
    MessageAddress,
    RoleAddress,
    SrsAddress,
    TestCopyAddress,
    UncertainAddress,
    UnsubscribeAddress,
)
from relay.inbound.inbound_mail import InboundMail
from relay.limits.quota import Quota, TooMany, bucket_of, hourly_and_daily, subject_of
from relay.mail.canonical_address import canonical
from relay.mail.reply import Reply
from relay.mail.transaction import network_of
from relay.reports.serialize import time_json

NETWORK_FORWARDS, NETWORK_RECORDS = (60, 300), (300, 3000)
"""Mails of one client network to one owner within an hour and a day: forwarded, and recorded."""

AUTHOR_FORWARDS, AUTHOR_RECORDS = (20, 60), (100, 300)
"""Mails of one author to one owner within an hour and a day."""

ADDRESS_RECORDS = (60, 300)
"""Mails recorded for one signed address within an hour and a day."""

CC_FORWARDS, CC_RECORDS = (60, 500), (300, 3000)
"""Mails to one CC tracking address within an hour and a day."""

ROLE_FORWARDS = (60, 300)
"""Mails to postmaster@ or abuse@ of one domain within an hour and a day."""


def forward_quotas(
    settings: Settings, key: bytes, mail: InboundMail, identity: str, strangers: Sequence[str]
) -> tuple[Quota, ...]:
    """Return the quotas of mail that is forwarded. `identity` is the one it is for, "" for none.

    `strangers` are the recipients that an application chose, and that are not configured.
    """
    replies = (settings.limits.replies_hourly, settings.limits.replies_daily)
    owner = identity or canonical(mail.recipient)
    known = settings.identity_for(identity) if identity else None
    return (
        *_address_quotas(key, mail, "forwards", replies, CC_FORWARDS, ROLE_FORWARDS),
        *(hourly_and_daily(subject_of(key, "forwards for", identity), 0, known.daily_limit) if known else ()),
        *(
            quota
            for one in strangers
            for quota in hourly_and_daily(bucket_of(key, "forwards to", canonical(one)), *replies)
        ),
        *_sender_quotas(key, mail, owner, "forwards", NETWORK_FORWARDS, AUTHOR_FORWARDS),
    )


def record_quotas(key: bytes, mail: InboundMail, identity: str) -> tuple[Quota, ...]:
    """Return the quotas of mail that is only recorded."""
    owner = identity or canonical(mail.recipient)
    by_address = _address_quotas(key, mail, "records", ADDRESS_RECORDS, CC_RECORDS, ROLE_FORWARDS)
    if isinstance(mail.destination, CcAddress | IdentityAddress):
        return (*by_address, *_sender_quotas(key, mail, owner, "records", NETWORK_RECORDS, AUTHOR_RECORDS))
    return by_address


def over_quota(mail: InboundMail, spent: TooMany) -> Reply:
    """Return the temporary refusal of mail over a quota."""
    again = time_json(spent.again_at)
    return Reply(450, "4.7.1", f"<{mail.recipient}> takes no more mail from here: try again after {again}")


def _address_quotas(
    key: bytes,
    mail: InboundMail,
    purpose: str,
    signed: tuple[int, int],
    cc: tuple[int, int],
    role: tuple[int, int],
) -> tuple[Quota, ...]:
    match mail.destination:
        case MessageAddress(token) | UnsubscribeAddress(token):
            return hourly_and_daily(subject_of(key, f"{purpose} by", f"{token.queue_id}/{token.number}"), *signed)
        case SrsAddress(reverse_path):
            # An SRS address has several spellings, and is valid at every domain of the relay.
            return hourly_and_daily(subject_of(key, f"{purpose} by", canonical(reverse_path)), *signed)
        case CcAddress(identity):
            return hourly_and_daily(subject_of(key, f"{purpose} by cc", identity), *cc)
        case RoleAddress():
            return hourly_and_daily(subject_of(key, f"{purpose} by", canonical(mail.recipient)), *role)
        case IdentityAddress() | TestCopyAddress() | ExpiredAddress() | UncertainAddress() | None:
            return ()
        case _:
            assert_never(mail.destination)


def _sender_quotas(
    key: bytes, mail: InboundMail, owner: str, purpose: str, network: tuple[int, int], author: tuple[int, int]
) -> tuple[Quota, ...]:
    """Return the quotas of the client's network and of the envelope sender, to one owner."""
    if mail.transaction is None:
        return ()
    client = network_of(mail.transaction.session.client)
    sender = canonical(mail.transaction.envelope.reverse_path)
    return (
        *hourly_and_daily(bucket_of(key, f"{purpose} of network", f"{client}>{owner}"), *network),
        *(hourly_and_daily(bucket_of(key, f"{purpose} of", f"{sender}>{owner}"), *author) if sender else ()),
    )
