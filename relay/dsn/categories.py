"""The 26 bounce categories as one table."""

from dataclasses import dataclass
from typing import Literal

Next = Literal["retry", "retry-once", "retry-slowly", "retry-plain", "hold-provider", "bounce", "drop"]
"""Action for the queue entry.

Retry as scheduled, once, with long intervals, or without extensions; hold until the provider works again; bounce; drop
without a DSN.
"""

Suppression = Literal["now", "on-permanent", "count", "never", "keep"]
"""Effect on the address.

Suppress now; suppress for 5yz and count for 4yz; count towards the threshold; none; keep, because it is suppressed
already.
"""

Lane = Literal["none", "slow-down", "pause", "pause-provider", "pause-identity", "back-off", "remember"]
"""Effect on the lane.

None; lower the rate; pause it; pause the provider or the identity; count a failed connection; remember a limit of the
destination (size, missing extension, required TLS).
"""

Kind = Literal["hard", "soft", "block", "message", "config", "rate", "admin", "undetermined"]


@dataclass(frozen=True, slots=True)
class Category:
    """A bounce category with its effects and guidance."""

    name: str
    title: str
    kind: Kind
    on_temporary: Next
    on_permanent: Next
    suppression: Suppression
    lane: Lane
    fixed_by: str
    guidance: tuple[str, ...]
    alert: bool = False
    """Whether an operator is alerted, because waiting does not help."""


_MESSAGE_CATEGORIES = (
    Category(
        name="too_large",
        title="Message too large",
        kind="message",
        on_temporary="bounce",
        on_permanent="bounce",
        suppression="never",
        lane="remember",
        fixed_by="sender",
        guidance=("Make the message smaller; the reply may name the limit.", "Offer the attachment as a link."),
    ),
    Category(
        name="content_rejected",
        title="Form or attachment refused",
        kind="message",
        on_temporary="retry-once",
        on_permanent="bounce",
        suppression="never",
        lane="none",
        fixed_by="owner of the application",
        guidance=(
            "Send exactly one From, Subject, Date and Message-ID, and one address in From.",
            "Keep lines within 998 octets and the MIME structure valid.",
            "Leave out attachment types the reply names.",
        ),
    ),
    Category(
        name="virus",
        title="Malware found",
        kind="message",
        on_temporary="bounce",
        on_permanent="bounce",
        suppression="never",
        lane="pause-identity",
        fixed_by="administrator of the sending side",
        guidance=("Scan the machine and the application that sent it.", "Do not send the file again."),
        alert=True,
    ),
    Category(
        name="spam_content",
        title="Taken for spam",
        kind="block",
        on_temporary="retry-slowly",
        on_permanent="bounce",
        suppression="never",
        lane="slow-down",
        fixed_by="sender",
        guidance=(
            "Look at the subject, the links (are their domains listed?) and recent complaints.",
            "Mail only people who asked for it, and let them unsubscribe with one click.",
        ),
    ),
    Category(
        name="policy",
        title="Refused by policy",
        kind="block",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="none",
        fixed_by="administrator of the sending side",
        guidance=(
            "Read the reply and the page it links to.",
            "Authentication and reputation are the first things to check.",
            "Write to the postmaster there and quote the reply.",
        ),
    ),
    Category(
        name="auth_failed",
        title="SPF, DKIM or DMARC failed",
        kind="config",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="slow-down",
        fixed_by="owner of the sending domain",
        guidance=(
            "Check the domain's records again: SPF, DKIM, DMARC alignment.",
            "The From domain must align with the DKIM domain or the envelope's.",
        ),
        alert=True,
    ),
    Category(
        name="blocked",
        title="Sending host or domain is blocklisted",
        kind="block",
        on_temporary="retry-slowly",
        on_permanent="retry-slowly",
        suppression="never",
        lane="pause",
        fixed_by="operator of the relay",
        guidance=(
            "The reply names the list: look the address up there.",
            "Find and end the cause before asking to be delisted.",
        ),
    ),
    Category(
        name="bad_rdns",
        title="Reverse DNS or HELO name refused",
        kind="config",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="pause",
        fixed_by="operator of the relay",
        guidance=(
            "Give the sending address a PTR record whose name resolves back to it.",
            "Greet with that same name.",
        ),
        alert=True,
    ),
    Category(
        name="sender_rejected",
        title="Sending address refused",
        kind="config",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="pause-identity",
        fixed_by="owner of the identity",
        guidance=("Verify the identity at the provider.", "Its domain needs an MX or address record."),
    ),
)

_ADDRESS_CATEGORIES = (
    Category(
        name="bad_mailbox",
        title="No such address",
        kind="hard",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="now",
        lane="none",
        fixed_by="keeper of the recipient list",
        guidance=(
            "Look for a typing error in the address.",
            "Correct or remove it where it comes from: form, CRM, invoice.",
            "Reach the person another way and ask.",
            "Many at one domain mean an old or guessed list: stop and clean it.",
        ),
    ),
    Category(
        name="bad_domain",
        title="No such domain, or it takes no mail",
        kind="hard",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="now",
        lane="none",
        fixed_by="keeper of the recipient list",
        guidance=(
            "Look for a typing error after the @.",
            "The company may have given the domain up: find its new address.",
        ),
    ),
    Category(
        name="mailbox_disabled",
        title="Mailbox closed or inactive",
        kind="hard",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="on-permanent",
        lane="none",
        fixed_by="recipient",
        guidance=(
            "The person left the mailbox, or its provider locked it.",
            "Ask the person for another address.",
            "Remove this one once that is confirmed.",
        ),
    ),
    Category(
        name="mailbox_full",
        title="Mailbox full",
        kind="soft",
        on_temporary="retry-slowly",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="recipient",
        guidance=(
            "Nothing is wrong on your side: the recipient has to make room.",
            "Wait some days before the next try; take the address off when it keeps bouncing.",
        ),
    ),
    Category(
        name="recipient_refused",
        title="The recipient does not take your mail",
        kind="block",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="sender and recipient",
        guidance=(
            "Have the recipient allow your address.",
            "For a group: have your address added to its permitted senders.",
        ),
    ),
    Category(
        name="relay_denied",
        title="Destination does not serve this domain",
        kind="hard",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="keeper of the recipient list, or operator",
        guidance=(
            "The domain's MX leads to a server that does not know it: usually the domain is abandoned.",
            "From your own provider: check the credentials and the permitted senders.",
        ),
    ),
    Category(
        name="suppressed",
        title="Not sent: on a suppression list",
        kind="admin",
        on_temporary="drop",
        on_permanent="drop",
        suppression="keep",
        lane="none",
        fixed_by="keeper of the list",
        guidance=("See when and why it was put there; take it off only when the person confirms.",),
    ),
    Category(
        name="unknown",
        title="Reason not recognised",
        kind="undetermined",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="sender",
        guidance=("Read the reply; report it so that a rule can be added.",),
    ),
)

_TRANSPORT_CATEGORIES = (
    Category(
        name="credentials",
        title="Provider account trouble",
        kind="config",
        on_temporary="hold-provider",
        on_permanent="hold-provider",
        suppression="never",
        lane="pause-provider",
        fixed_by="operator of the relay",
        guidance=(
            "Check the provider's user name, password or key.",
            "Check the plan: credits, trial limits, a paused account.",
        ),
    ),
    Category(
        name="tls",
        title="TLS required or failed",
        kind="config",
        on_temporary="retry",
        on_permanent="retry",
        suppression="never",
        lane="remember",
        fixed_by="operator",
        guidance=(
            "Allow or require TLS towards this domain.",
            "A fault in the destination's certificate has to be mended there.",
        ),
    ),
    Category(
        name="rate_limited",
        title="Too fast or too many",
        kind="rate",
        on_temporary="retry-slowly",
        on_permanent="retry-slowly",
        suppression="never",
        lane="slow-down",
        fixed_by="operator of the relay",
        guidance=("Spread the sending; let new addresses warm up.", "Send to fewer recipients at a time."),
    ),
    Category(
        name="greylisted",
        title="Greylisted",
        kind="rate",
        on_temporary="retry",
        on_permanent="retry-slowly",
        suppression="never",
        lane="none",
        fixed_by="nobody",
        guidance=("Nothing to do: a later attempt is accepted.",),
    ),
    Category(
        name="network",
        title="No connection",
        kind="soft",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="back-off",
        fixed_by="nobody, or operator",
        guidance=(
            "It usually passes: the relay keeps trying.",
            "A loop means that the recipient's forwarding is broken.",
        ),
    ),
    Category(
        name="dns_failure",
        title="DNS does not answer",
        kind="soft",
        on_temporary="retry",
        on_permanent="retry",
        suppression="never",
        lane="none",
        fixed_by="nobody",
        guidance=("The name servers of the recipient's domain do not answer: the relay keeps trying.",),
    ),
    Category(
        name="server_error",
        title="Destination is out of order",
        kind="soft",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="postmaster of the destination",
        guidance=("Try later; tell the recipient another way if it is urgent.",),
    ),
    Category(
        name="protocol",
        title="SMTP command not accepted",
        kind="soft",
        on_temporary="retry-plain",
        on_permanent="retry-plain",
        suppression="never",
        lane="remember",
        fixed_by="developer",
        guidance=("The two servers disagree about the protocol: send the log to support.",),
    ),
    Category(
        name="expired",
        title="Not delivered in time",
        kind="soft",
        on_temporary="bounce",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="whoever can mend the cause",
        guidance=("Look at the last reply and its guidance.",),
    ),
)

CATEGORIES: dict[str, Category] = {
    category.name: category for category in (*_ADDRESS_CATEGORIES, *_MESSAGE_CATEGORIES, *_TRANSPORT_CATEGORIES)
}
"""All categories by name."""
