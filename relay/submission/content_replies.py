"""Refusals of a message before its header is read by the policy: size, octets, header, and a store that fails. Pure."""

from relay.events.ports import StoreError
from relay.mail.headers import header_fault
from relay.mail.reply import Reply

STORAGE_FULL = Reply(452, "4.3.1", "Insufficient system storage, try again later")

HAS_NUL = Reply(554, "5.6.0", "The message holds a NUL octet, which mail cannot carry: encode the part as base64")


def too_large(limit: int) -> Reply:
    """Return the refusal of a message over the limit in octets (RFC 1870 section 6)."""
    return Reply(552, "5.3.4", f"The message is larger than the {limit} octets allowed here")


def header_refusal(content: bytes, most_octets: int, most_fields: int) -> Reply | None:
    """Return the refusal of a header that is too large or cannot be read, None for others."""
    fault = header_fault(content, most_octets, most_fields)
    return Reply(554, "5.6.0", fault) if fault else None


def store_error_reply(error: StoreError) -> Reply:
    """Return the reply while the store fails (RFC 3463: X.3.1 mail system full, X.3.0 other system status)."""
    if error.full:
        return STORAGE_FULL
    return Reply(451, "4.3.0", "The queue cannot store mail at the moment, try again later")
