"""Frozen tracking and List-Unsubscribe options."""

from dataclasses import dataclass
from typing import Literal

from relay.rewrite.tokens import Keyring, Kind, Token, sign_address_token, sign_token

_ONE_CLICK = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


@dataclass(frozen=True, slots=True)
class ListUnsubscribe:
    """Where readers of one message unsubscribe, frozen with it when it is accepted."""

    base_url: str
    """Where they reach the tracker, such as "https://t.acme.test"."""
    reply_domain: str = ""
    """Domain of signed reply addresses, which take the request by mail too; "" for none."""

    def fields(self, keyring: Keyring, queue_id: str, recipient: int) -> bytes:
        """Return the header fields for that recipient, with their line ends.

        One click needs https (RFC 8058 section 3.1): on plain http the page alone is offered.
        """
        page = f"<{self.base_url}/u/{sign_token(keyring, Token(Kind.UNSUBSCRIBE, queue_id, recipient))}>"
        if self.reply_domain:
            mailbox = sign_address_token(keyring, Token(Kind.REPLY, queue_id, recipient))
            page += f",\r\n\t<mailto:{mailbox}@{self.reply_domain}?subject=unsubscribe>"
        one_click = _ONE_CLICK if self.base_url.startswith("https://") else ""
        return f"List-Unsubscribe: {page}\r\n{one_click}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Tracking:
    """The tracking switches of one message.

    `base_url` is where readers reach the tracker, such as "https://t.acme.test"; without it nothing is rewritten.
    `exclude_hosts` are host names whose links stay as they are; "*.example.com" takes every host below example.com.
    """

    opens: bool = True
    clicks: bool = True
    base_url: str = ""
    text_links: bool = False
    skip_sensitive: bool = True
    skip_visible_urls: bool = True
    exclude_hosts: tuple[str, ...] = ()
    pixel: Literal["start", "end"] = "end"
