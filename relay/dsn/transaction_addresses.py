"""The sender and the recipients of a transaction, by whose addresses a reply says whom it is about. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from relay.dsn.address_pattern import ADDRESS


@dataclass(frozen=True, slots=True)
class TransactionAddresses:
    """Addresses of one transaction, in lower case."""

    senders: Collection[str] = ()
    """Addresses of our side; "@example.org" stands for all addresses of a domain of ours."""
    recipients: Collection[str] = ()

    @classmethod
    def of(cls, addresses: Iterable[str], domains: Iterable[str], recipients: Iterable[str]) -> "TransactionAddresses":
        """Return the parties. A domain of ours that a recipient has too says nothing; "" is left out."""
        to = frozenset(one.lower() for one in recipients)
        shared = {one[one.rindex("@") :] for one in to if "@" in one}
        ours = {f"@{one.lower()}" for one in domains if one} - shared
        return cls(frozenset(one.lower() for one in addresses if one) | ours, to)

    def is_sender_named(self, text: str) -> bool:
        """Whether a reply names an address of our side, and none of the recipients."""
        if "@" not in text or not self.senders:
            return False
        named = {found[0].lower() for found in ADDRESS.finditer(text)}
        is_sender = any(one in self.senders or one[one.rindex("@") :] in self.senders for one in named)
        return is_sender and named.isdisjoint(self.recipients)


UNKNOWN_ADDRESSES = TransactionAddresses()
"""Of a reply whose transaction is not known: it names no party."""
