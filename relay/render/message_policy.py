"""The policy of a message: decided at acceptance, stored in its row, applied at rendering."""

from dataclasses import replace
from typing import Any, Self

from relay.frozen import dataclass
from relay.mail.lane import DIRECT, SIMULATOR
from relay.rewrite.options import ListUnsubscribe, Tracking


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """The decisions about one message. Later changes of the configuration do not apply to it."""

    domain: str = ""
    """Sending domain, with the DKIM keys and the tracker host. "" neither signs nor tracks."""
    identity: str = ""
    """Address of the identity whose limits apply, "" when the From is not listed."""
    tracking: Tracking | None = None
    """None leaves links as they are, and adds no pixel."""
    return_path: str = ""
    """Domain of signed return-paths, "" keeps the reverse-path of the application."""
    bounce_address: str = ""
    """Reverse-path for all recipients where there is no `return_path`, "" keeps that of the application."""
    provider: str = DIRECT
    fallback_providers: tuple[str, ...] = ()
    author_name: str = ""
    """Display name for a From that has none, "" for none."""
    reply_domain: str = ""
    """Domain of signed Reply-To addresses, "" leaves Reply-To as it is."""
    reply_to: tuple[str, ...] = ()
    """Reply-To of the application, kept when replies come through `reply_domain`."""
    copies: tuple[int, ...] = ()
    """Numbers of the entries that are copies (`bcc`). Copies are not tracked and cause no notification."""
    forward_domain: str = ""
    """Domain of the rewritten reverse-path (SRS) of a forwarded message, "" for mail of applications."""
    unproven_sender: bool = False
    """Nothing proves that the reverse-path is the sender's: no notification goes there, nor a bounce of a forward.

    For mail of applications SPF or DKIM may still prove it when a notification is due (`Settler.settle_proven`).
    """
    list_unsubscribe: ListUnsubscribe | None = None
    """Options of the List-Unsubscribe fields of a campaign. None adds no such fields."""
    unsubscribe_url: str = ""
    """Base URL of the links that replace unsubscribe placeholders in campaign mail, "" leaves placeholders."""
    added_fields: bytes = b""
    """Header fields added in front: Received, and Date and Message-ID when missing."""
    pixel_text: str = ""
    """A text of the HTML that the pixel replaces, "" for none."""
    unsubscribe_text: str = ""
    """A text of the application that the same links replace, "" for none."""
    dialects: tuple[str, ...] = ()
    """Dialects of mail services whose header fields the message has. They are removed."""
    is_signed: bool = True
    """Whether it gets DKIM signatures."""
    needs_tls: bool = False
    """Whether it is sent over encrypted connections only."""
    tags_were_a_list: bool = False
    """Whether the application wrote its tags as a list: reports in the form of SendGrid have one too."""
    ignores_lists: bool = False
    """Whether suppressed and unsubscribed addresses get it too."""
    sandbox: bool = False
    """Whether the receiver inside the relay takes all of it, and no server gets any of it."""
    would_leave_by: str = ""
    """Provider that would carry a sandbox message: it is rendered for that one."""
    simulated: tuple[int, ...] = ()
    """Numbers of the entries whose recipients are those of the simulator."""
    original_to: tuple[str, ...] = ()
    """Former recipient of each entry, by number, where sandbox mail goes to other addresses. "": not replaced."""
    send_at: float | None = 0.0
    """Unix seconds before which no limit lets it leave (X-Relay-Send-At), 0 for any time. None: not recorded."""

    @property
    def is_per_recipient(self) -> bool:
        """Whether every recipient gets its own bytes or its own reverse-path."""
        signed_return_path = self.return_path or (self.forward_domain and self.unproven_sender)
        has_url = self.tracking or self.list_unsubscribe or self.unsubscribe_url
        return bool(has_url or signed_return_path or self.reply_domain or self.original_to)

    @property
    def keeps_answers(self) -> bool:
        """Whether what the mail causes stays in the sandbox: notifications, and answers that are forwarded."""
        return self.sandbox or bool(self.original_to)

    def is_simulated(self, number: int) -> bool:
        """Whether the receiver inside the relay takes the mail of this entry."""
        return self.sandbox or number in self.simulated

    def in_sandbox(self) -> Self:
        """Return the policy of mail that leaves for no server. It is rendered for the provider that would carry it."""
        return replace(self, sandbox=True, would_leave_by=self.provider, provider=SIMULATOR, fallback_providers=())

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers that may carry the message, in order of preference."""
        return self.provider, *self.fallback_providers


def tuple_of(value: Any) -> Any:
    """Return a list of JSON as the tuple that the option was, any other value unchanged."""
    return tuple(value) if isinstance(value, list) else value
