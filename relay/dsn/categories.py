"""The 26 bounce categories as one table."""

from dataclasses import dataclass
from typing import Literal

Next = Literal["retry", "retry-once", "retry-slowly", "retry-plain", "hold-provider", "bounce", "drop"]
"""What to do with a queue entry: try again as scheduled, once more, with long waits, without extensions; keep it until
the provider works again; give up and tell the sender; drop it silently."""


Suppression = Literal["now", "on-permanent", "count", "never", "keep"]
"""What a failure means for the address: off the list at once; at once for 5yz and counted for 4yz; counted towards the
threshold; nothing; it is on the list already."""


Lane = Literal["none", "slow-down", "pause", "pause-provider", "pause-identity", "back-off", "remember"]
"""What a failure means for the lane: nothing; lower the rate; pause it; pause the provider or the identity; count a
failed connection; remember a fact of the destination (its size limit, a missing extension, its need of TLS)."""


Kind = Literal["hard", "soft", "block", "message", "config", "rate", "admin", "undetermined"]


@dataclass(frozen=True, slots=True)
class Category:
    """One category.

    `iana` names the enhanced status codes registered for it (`x` stands for a class or a digit); `sparkpost`, `ses`
    and `sendgrid` are the names those providers give it.
    """

    name: str
    title: str
    kind: Kind
    definition: str
    on_temporary: Next
    on_permanent: Next
    suppression: Suppression
    lane: Lane
    fixed_by: str
    guidance: tuple[str, ...]
    iana: tuple[str, ...] = ()
    sparkpost: tuple[int, ...] = ()
    ses: tuple[str, ...] = ()
    sendgrid: str = ""
    alert: bool = False
    """Waiting does not mend it: somebody of the sending side has to look at it."""


_MESSAGE_CATEGORIES = (
    Category(
        name="too_large",
        title="Message too large",
        kind="message",
        definition="Message, attachment or header is over a limit of the destination.",
        on_temporary="bounce",
        on_permanent="bounce",
        suppression="never",
        lane="remember",
        fixed_by="sender",
        guidance=("Make the message smaller; the reply may name the limit.", "Offer the attachment as a link."),
        iana=("x.2.3", "x.3.4", "x.7.16"),
        sparkpost=(23,),
        ses=("Transient/MessageTooLarge",),
        sendgrid="Technical Failure",
    ),
    Category(
        name="content_rejected",
        title="Form or attachment refused",
        kind="message",
        definition=(
            "The message is malformed or holds what the destination forbids: headers, line lengths, "
            "attachment types, character sets."
        ),
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
        iana=("x.6.0", "x.6.1", "x.6.2", "x.6.3", "x.6.4", "x.6.5", "x.6.6", "x.6.9", "x.7.7", "5.7.512"),
        sparkpost=(50, 53),
        ses=("Transient/ContentRejected", "Transient/AttachmentRejected"),
        sendgrid="Content",
    ),
    Category(
        name="virus",
        title="Malware found",
        kind="message",
        definition="A scanner at the destination named malware in the message.",
        on_temporary="bounce",
        on_permanent="bounce",
        suppression="never",
        lane="pause-identity",
        fixed_by="administrator of the sending side",
        guidance=("Scan the machine and the application that sent it.", "Do not send the file again."),
        sparkpost=(53,),
        ses=("Transient/ContentRejected",),
        sendgrid="Content",
        alert=True,
    ),
    Category(
        name="spam_content",
        title="Taken for spam",
        kind="block",
        definition="The content or a link in it was judged to be spam.",
        on_temporary="retry-slowly",
        on_permanent="bounce",
        suppression="never",
        lane="slow-down",
        fixed_by="sender",
        guidance=(
            "Look at the subject, the links (are their domains listed?) and recent complaints.",
            "Mail only people who asked for it, and let them unsubscribe with one click.",
        ),
        sparkpost=(52,),
        ses=("Transient/ContentRejected",),
        sendgrid="Content",
    ),
    Category(
        name="policy",
        title="Refused by policy",
        kind="block",
        definition="The site refuses and gives no better reason than its policy.",
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
        iana=("x.7.0", "x.7.1"),
        sparkpost=(50,),
        ses=("Permanent/General",),
        sendgrid="Reputation",
    ),
    Category(
        name="auth_failed",
        title="SPF, DKIM or DMARC failed",
        kind="config",
        definition="The destination wants the message authenticated, and it is not or fails.",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="slow-down",
        fixed_by="owner of the sending domain",
        guidance=(
            "Check the domain's records again: SPF, DKIM, DMARC alignment.",
            "The From domain must align with the DKIM domain or the envelope's.",
        ),
        iana=("x.7.20", "x.7.21", "x.7.22", "x.7.23", "x.7.24", "x.7.26", "x.7.29", "5.7.509", "5.7.515"),
        sparkpost=(50,),
        ses=("Permanent/General",),
        sendgrid="Reputation",
        alert=True,
    ),
    Category(
        name="blocked",
        title="Sending host or domain is blocklisted",
        kind="block",
        definition="A blocklist, a provider's own block or a bad reputation stops mail from this address or domain.",
        on_temporary="retry-slowly",
        on_permanent="retry-slowly",
        suppression="never",
        lane="pause",
        fixed_by="operator of the relay",
        guidance=(
            "The reply names the list: look the address up there.",
            "Find and end the cause before asking to be delisted.",
        ),
        iana=("x.7.1", "5.7.5xx", "5.7.6xx"),
        sparkpost=(50, 51),
        ses=("Transient/General",),
        sendgrid="Reputation",
    ),
    Category(
        name="bad_rdns",
        title="Reverse DNS or HELO name refused",
        kind="config",
        definition=(
            "The sending address has no PTR record, one that does not lead back, or the HELO name is not valid."
        ),
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="pause",
        fixed_by="operator of the relay",
        guidance=(
            "Give the sending address a PTR record whose name resolves back to it.",
            "Greet with that same name.",
        ),
        iana=("x.7.25", "4.7.23"),
        sparkpost=(50,),
        ses=("Permanent/General",),
        sendgrid="Technical Failure",
        alert=True,
    ),
    Category(
        name="sender_rejected",
        title="Sending address refused",
        kind="config",
        definition=(
            "The reverse-path or From is refused: its domain does not resolve, takes no mail, is not "
            "verified or is blocked."
        ),
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="pause-identity",
        fixed_by="owner of the identity",
        guidance=("Verify the identity at the provider.", "Its domain needs an MX or address record."),
        iana=("x.1.7", "x.1.8", "x.7.27"),
        sparkpost=(50,),
        ses=("Permanent/General",),
        sendgrid="Reputation",
    ),
)


_ADDRESS_CATEGORIES = (
    Category(
        name="bad_mailbox",
        title="No such address",
        kind="hard",
        definition=(
            "The destination does not know the local part: never existed, moved away, or is no valid name there."
        ),
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
        iana=("x.1.0", "x.1.1", "x.1.3", "x.1.4", "x.1.6", "x.7.17"),
        sparkpost=(10, 30),
        ses=("Permanent/General", "Permanent/NoEmail"),
        sendgrid="Invalid Address",
    ),
    Category(
        name="bad_domain",
        title="No such domain, or it takes no mail",
        kind="hard",
        definition=(
            "The domain does not exist, has neither MX nor address, or declares that it takes no mail (RFC 7505)."
        ),
        on_temporary="retry",
        on_permanent="bounce",
        suppression="now",
        lane="none",
        fixed_by="keeper of the recipient list",
        guidance=(
            "Look for a typing error after the @.",
            "The company may have given the domain up: find its new address.",
        ),
        iana=("x.1.2", "x.1.10", "x.4.4", "x.7.18", "5.4.310"),
        sparkpost=(10, 21),
        ses=("Permanent/General",),
        sendgrid="Invalid Address",
    ),
    Category(
        name="mailbox_disabled",
        title="Mailbox closed or inactive",
        kind="hard",
        definition="The mailbox is known, but suspended, frozen, abandoned or closed.",
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
        iana=("x.2.1", "x.7.13"),
        sparkpost=(10,),
        ses=("Permanent/General",),
        sendgrid="Mailbox Unavailable",
    ),
    Category(
        name="mailbox_full",
        title="Mailbox full",
        kind="soft",
        definition="The recipient's storage is used up.",
        on_temporary="retry-slowly",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="recipient",
        guidance=(
            "Nothing is wrong on your side: the recipient has to make room.",
            "Wait some days before the next try; take the address off when it keeps bouncing.",
        ),
        iana=("x.2.2",),
        sparkpost=(22,),
        ses=("Transient/MailboxFull",),
        sendgrid="Mailbox Unavailable",
    ),
    Category(
        name="recipient_refused",
        title="The recipient does not take your mail",
        kind="block",
        definition=(
            "A rule of this recipient, list or group refuses: personal filter, members only, permitted senders only."
        ),
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="sender and recipient",
        guidance=(
            "Have the recipient allow your address.",
            "For a group: have your address added to its permitted senders.",
        ),
        iana=("x.2.0", "x.7.2", "5.7.12x", "5.7.13x"),
        sparkpost=(50,),
        ses=("Transient/General",),
        sendgrid="Unclassified",
    ),
    Category(
        name="relay_denied",
        title="Destination does not serve this domain",
        kind="hard",
        definition="The server says that it takes no mail for the recipient's domain, or only from those it knows.",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="keeper of the recipient list, or operator",
        guidance=(
            "The domain's MX leads to a server that does not know it: usually the domain is abandoned.",
            "From your own provider: check the credentials and the permitted senders.",
        ),
        iana=("5.7.1", "5.7.54", "5.7.64"),
        sparkpost=(54,),
        ses=("Permanent/General",),
        sendgrid="Technical Failure",
    ),
    Category(
        name="suppressed",
        title="Not sent: on a suppression list",
        kind="admin",
        definition="Dropped before sending, by our list or the provider's.",
        on_temporary="drop",
        on_permanent="drop",
        suppression="keep",
        lane="none",
        fixed_by="keeper of the list",
        guidance=("See when and why it was put there; take it off only when the person confirms.",),
        sparkpost=(25, 26),
        ses=("Permanent/Suppressed", "Permanent/OnAccountSuppressionList", "Permanent/UnsubscribedRecipient"),
    ),
    Category(
        name="unknown",
        title="Reason not recognised",
        kind="undetermined",
        definition="No rule matches the reply.",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="sender",
        guidance=("Read the reply; report it so that a rule can be added.",),
        iana=("x.0.0",),
        sparkpost=(1,),
        ses=("Undetermined",),
        sendgrid="Unclassified",
    ),
)


_TRANSPORT_CATEGORIES = (
    Category(
        name="credentials",
        title="Provider account trouble",
        kind="config",
        definition="Our own provider refuses us: wrong login, paused account, credits used up.",
        on_temporary="hold-provider",
        on_permanent="hold-provider",
        suppression="never",
        lane="pause-provider",
        fixed_by="operator of the relay",
        guidance=(
            "Check the provider's user name, password or key.",
            "Check the plan: credits, trial limits, a paused account.",
        ),
        iana=("x.7.4", "x.7.8", "x.7.9", "x.7.12", "x.7.57"),
        sparkpost=(25,),
        sendgrid="Technical Failure",
    ),
    Category(
        name="tls",
        title="TLS required or failed",
        kind="config",
        definition="The destination demands TLS, or the handshake, DANE or MTA-STS check fails.",
        on_temporary="retry",
        on_permanent="retry",
        suppression="never",
        lane="remember",
        fixed_by="operator",
        guidance=(
            "Allow or require TLS towards this domain.",
            "A fault in the destination's certificate has to be mended there.",
        ),
        iana=("x.7.10", "x.7.11", "4.7.29", "x.7.30", "x.7.32x", "4.4.317"),
        sparkpost=(40,),
        ses=("Transient/General",),
        sendgrid="Technical Failure",
    ),
    Category(
        name="rate_limited",
        title="Too fast or too many",
        kind="rate",
        definition=(
            "A limit of rate, connections, recipients or volume was reached at the destination or the provider."
        ),
        on_temporary="retry-slowly",
        on_permanent="retry-slowly",
        suppression="never",
        lane="slow-down",
        fixed_by="operator of the relay",
        guidance=("Spread the sending; let new addresses warm up.", "Send to fewer recipients at a time."),
        iana=("x.4.5", "x.5.3", "x.7.28", "4.2.1", "4.7.6xx", "5.2.12x"),
        sparkpost=(20, 70),
        ses=("Transient/General",),
        sendgrid="Frequency or Volume Too High",
    ),
    Category(
        name="greylisted",
        title="Greylisted",
        kind="rate",
        definition="The destination defers whoever it meets for the first time.",
        on_temporary="retry",
        on_permanent="retry-slowly",
        suppression="never",
        lane="none",
        fixed_by="nobody",
        guidance=("Nothing to do: a later attempt is accepted.",),
        iana=("4.2.0", "4.7.1"),
        sparkpost=(70,),
        sendgrid="Frequency or Volume Too High",
    ),
    Category(
        name="network",
        title="No connection",
        kind="soft",
        definition="The host does not answer, refuses or breaks the connection, or the mail goes in a circle.",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="never",
        lane="back-off",
        fixed_by="nobody, or operator",
        guidance=(
            "It usually passes: the relay keeps trying.",
            "A loop means that the recipient's forwarding is broken.",
        ),
        iana=("x.4.0", "x.4.1", "x.4.2", "x.4.6"),
        sparkpost=(20, 24, 70),
        ses=("Transient/General",),
        sendgrid="Technical Failure",
    ),
    Category(
        name="dns_failure",
        title="DNS does not answer",
        kind="soft",
        definition="The lookup failed for now: SERVFAIL, time-out, malformed answer.",
        on_temporary="retry",
        on_permanent="retry",
        suppression="never",
        lane="none",
        fixed_by="nobody",
        guidance=("The name servers of the recipient's domain do not answer: the relay keeps trying.",),
        iana=("x.4.3",),
        sparkpost=(21,),
        ses=("Transient/General",),
        sendgrid="Technical Failure",
    ),
    Category(
        name="server_error",
        title="Destination is out of order",
        kind="soft",
        definition="A fault over there: local error, full disk, wrong configuration, failing delivery program.",
        on_temporary="retry",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="postmaster of the destination",
        guidance=("Try later; tell the recipient another way if it is urgent.",),
        iana=("x.2.4", "x.3.0", "x.3.1", "x.3.2", "x.3.3", "x.3.5"),
        sparkpost=(20, 40),
        ses=("Transient/General",),
        sendgrid="Technical Failure",
    ),
    Category(
        name="protocol",
        title="SMTP command not accepted",
        kind="soft",
        definition="A syntax or sequence error, or an extension the destination does not have.",
        on_temporary="retry-plain",
        on_permanent="retry-plain",
        suppression="never",
        lane="remember",
        fixed_by="developer",
        guidance=("The two servers disagree about the protocol: send the log to support.",),
        iana=("x.5.0", "x.5.1", "x.5.2", "x.5.4", "x.5.5", "x.5.6", "x.6.7", "x.6.8"),
        sparkpost=(40,),
        ses=("Transient/General",),
        sendgrid="Technical Failure",
    ),
    Category(
        name="expired",
        title="Not delivered in time",
        kind="soft",
        definition="The time in the queue ended; the last reply tells the cause.",
        on_temporary="bounce",
        on_permanent="bounce",
        suppression="count",
        lane="none",
        fixed_by="whoever can mend the cause",
        guidance=("Look at the last reply and its guidance.",),
        iana=("x.4.7",),
        sparkpost=(24,),
        ses=("Transient/CustomTimeoutExceeded",),
        sendgrid="Technical Failure",
    ),
)


CATEGORIES: dict[str, Category] = {
    category.name: category for category in (*_ADDRESS_CATEGORIES, *_MESSAGE_CATEGORIES, *_TRANSPORT_CATEGORIES)
}
"""Every category by its name."""
