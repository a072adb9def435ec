"""Tracking and List-Unsubscribe options, stored with the message at acceptance."""

from typing import Literal

from relay.frozen import dataclass
from relay.rewrite.tokens import Keyring, Kind, Token, sign_address_token, sign_token

_ONE_CLICK = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def unsubscribe_link(base_url: str, keyring: Keyring, queue_id: str, recipient: int) -> bytes:
    """Return the URL of the unsubscribe page of that recipient."""
    token = sign_token(keyring, Token(Kind.UNSUBSCRIBE, queue_id, recipient))
    return f"{base_url.rstrip('/')}/u/{token}".encode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class ListUnsubscribe:
    """Options of the List-Unsubscribe fields of one message."""

    base_url: str
    """Base URL of the tracker, such as "https://t.acme.test"."""
    reply_domain: str = ""
    """Domain of signed addresses, which also accept requests by mail; "" for none."""

    def fields(self, keyring: Keyring, queue_id: str, recipient: int) -> bytes:
        """Return the header fields for that recipient, with their line ends.

        One-click needs https (RFC 8058 section 3.1). With plain http, only the page is offered.
        """
        page = f"<{self.base_url}/u/{sign_token(keyring, Token(Kind.UNSUBSCRIBE, queue_id, recipient))}>"
        if self.reply_domain:
            mailbox = sign_address_token(keyring, Token(Kind.LIST_UNSUBSCRIBE, queue_id, recipient))
            page += f",\r\n\t<mailto:{mailbox}@{self.reply_domain}?subject=unsubscribe>"
        one_click = _ONE_CLICK if self.base_url.startswith("https://") else ""
        return f"List-Unsubscribe: {page}\r\n{one_click}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Tracking:
    """The tracking options of one message."""

    opens: bool = True
    clicks: bool = True
    base_url: str = ""
    """Base URL of the tracker, such as "https://t.acme.test". Without it nothing is rewritten."""
    text_links: bool = False
    skip_sensitive: bool = True
    skip_visible_urls: bool = True
    exclude_hosts: tuple[str, ...] = ()
    """Hosts whose links stay untracked. "*.example.com" stands for every host below example.com."""
    pixel: Literal["start", "end"] = "end"
    skip_unsubscribe: bool = True
