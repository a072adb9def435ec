"""Alerts to the operator: their texts, and the mail."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.header import Header

from relay.config.settings import Settings
from relay.dsn.category import Category
from relay.mail.address import is_ascii
from relay.mail.canonical_address import domain_of
from relay.mail.lane import DIRECT, split_lane
from relay.mail.received import mail_date
from relay.mail.transaction import Recipient
from relay.queue.message import ALERT, NO_DSN, Message, NewMessage, own_message
from relay.render.message_policy import MessagePolicy

_MAX_SUBJECT = 150
"""Characters of a subject, at most; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that needs attention.

    At most one alert per `cause` and hour is sent. The provider `avoid` cannot deliver it.
    """

    cause: str
    subject: str
    text: str
    avoid: str = ""


@dataclass(frozen=True, slots=True)
class AlertRoute:
    """Sender, recipients and providers of alert mail."""

    hostname: str
    from_address: str
    recipients: tuple[str, ...]
    providers: tuple[str, ...]
    """Providers in order of preference."""
    domain: str = ""
    """Sending domain whose keys sign the mail, "" for none."""
    lifetime: float = 3 * 86400.0


def alert_providers(providers: Sequence[str], avoid: str) -> tuple[str, ...]:
    """Return the providers without the one to avoid, followed by MX delivery."""
    return tuple(dict.fromkeys(one for one in (*providers, DIRECT) if one != avoid)) or (DIRECT,)


def lane_paused(lane: str, category: str, reply: str, guidance: str) -> Alert:
    """Return the alert about a paused lane.

    Destinations share one cause per category: a host on a blocklist is refused by hundreds of them in the same hour.
    """
    provider, domain = split_lane(lane)
    subject = f"provider {provider}" if provider != DIRECT else f"delivery to {domain}"
    footer: tuple[str, ...]
    if provider != DIRECT:
        footer = (
            "Its mail is sent by the next of its fallback_providers, or waits if there is none.",
            "",
            "  relay provider list             shows the state of the providers",
            f"  relay send-test --provider {provider}",
            f"  relay provider resume {provider}   ends the pause when the cause is corrected",
        )
    else:
        footer = (
            "Mail for this destination is deferred and retried automatically. Other destinations with the same reason",
            "within the hour are logged (delivery.paused), without further alerts.",
        )

    lines = (f"{subject[0].upper()}{subject[1:]} is paused.", "", f"Reply:       {reply}", f"Category:    {category}")
    text = "\n".join((*lines, f"What to do:  {guidance}", "", *footer))
    cause = f"paused {lane}" if provider != DIRECT else f"paused destinations: {category}"
    return Alert(cause, f"{subject} is paused: {reply}", text, "" if provider == DIRECT else provider)


def identity_paused(address: str, why: str) -> Alert:
    """Return the alert about a paused identity."""
    text = (
        f"The identity {address} is paused.\n\n"
        f"Reason:      {why}\n"
        "What to do:  find the mail that was not wanted or went to wrong addresses, and correct its list:\n\n"
        f"  relay report bounces --identity {address} --since 1d\n"
        f"  relay queue list --identity {address}\n"
        f"  relay identity resume {address}   ends the pause\n\n"
        "Until then its mail is refused with 451 4.7.1, and the application keeps it. What is queued waits.\n"
    )
    return Alert(f"identity paused {address}", f"identity {address} is paused: {why}", text)


def mail_refused(about: Category, domain: str, reply: str, remote: str, queue_id: str) -> Alert:
    """Return the alert about refused mail of a sending domain, if the reason concerns this relay."""
    text = (
        f"Mail of {domain or 'a sender without a configured domain'} is refused: {about.title}.\n\n"
        f"Reply:       {reply}\n"
        f"Server:      {remote or 'unknown'}\n"
        f"Message:     {queue_id} (relay trace {queue_id})\n"
        f"What to do:  {' '.join(about.guidance)}\n\n"
        f"Number of refusals: relay report bounces --since 1d --category {about.name}\n"
    )
    return Alert(
        f"refused: {about.name} {domain}", f"mail of {domain or 'other senders'} is refused: {about.title}", text
    )


def spam_dropped(sender: str, reverse_path: str, reason: str, queue_id: str) -> Alert:
    """Return the alert about a sender (credential or client) whose mail the spam filter takes for spam."""
    text = (
        f"A message of {sender} is spam by the filter. It was accepted and dropped.\n\n"
        f"Result:      {reason}\n"
        f"From:        {reverse_path or '<>'}\n"
        f"Message:     {queue_id} (relay trace {queue_id})\n"
        "What to do:  if somebody else uses the login or the application, change its secret\n"
        "             (relay credential new), or take its network out of allow_networks.\n\n"
        "Further messages within the hour are logged (spam.dropped), without further alerts.\n"
    )
    return Alert(f"spam {sender}", f"mail of {sender} is dropped as spam", text)


def settled_plainly(queue_id: str) -> Alert:
    """Return the alert about a result of an attempt that the store did not take as it was."""
    text = (
        "The result of an attempt could not be stored. Its recipients have their final state or their next attempt;\n"
        "replies, evidence and perhaps the notification to the sender are missing.\n\n"
        f"Message:     {queue_id} (relay trace {queue_id})\n"
        "What to do:  report the error that the log has for this message (internal.error): it is a defect.\n\n"
        "Further messages within the hour are logged (queue.settled_plainly), without further alerts.\n"
    )
    return Alert("settlement", f"the result of an attempt for {queue_id} could not be stored", text)


def store_recovered(seconds: float, error: str) -> Alert:
    """Return the alert about a store that failed and works again."""
    text = (
        f"The store did not answer for {seconds:.0f} seconds; it answers again.\n\n"
        f"Error:       {error}\n"
        "What to do:  check the disk (space, errors in the system log) or the database server.\n\n"
        "Applications got 451, or 452 if it was full, and will retry. No accepted mail was lost.\n"
    )
    return Alert("store", f"the store did not answer for {seconds:.0f} seconds: {error}", text)


def message_damaged(queue_id: str, damage: str) -> Alert:
    """Return the alert about a message that is held because its stored form is damaged."""
    text = (
        f"A message in the queue is damaged and is not sent: {damage}. Other mail is sent as before.\n\n"
        f"Message:     {queue_id} (relay trace {queue_id})\n"
        "What to do:  check the disk and the memory of this machine or of the database server.\n"
        f"             Ask the sender to send the message again, and delete it: relay queue delete {queue_id}\n\n"
        "All of them: relay queue list --state held\n"
    )
    return Alert("damaged", f"message {queue_id} is damaged and held: {damage}", text)


def alert_message(alert: Alert, route: AlertRoute, queue_id: str, now: float) -> NewMessage:
    """Return the alert as a message with null reverse-path, Auto-Submitted (RFC 3834) and an entry per recipient."""
    subject = _one_line(f"[relay {route.hostname}] {alert.subject}")
    content = _content(alert, route, subject, queue_id, now)
    first, *others = alert_providers(route.providers, alert.avoid)

    message = Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path="",
        policy=MessagePolicy(domain=route.domain, provider=first, fallback_providers=tuple(others)),
        smtputf8=not all(map(is_ascii, (route.from_address, *route.recipients))),
        message_id=f"<{queue_id}@{route.hostname}>",
        header_from=route.from_address,
        subject=subject,
        metadata={ALERT: alert.cause},
        origin="alert",
    )
    recipients = [Recipient(one, NO_DSN) for one in route.recipients]
    return own_message(message, content, recipients, lifetime=route.lifetime, about={ALERT: alert.cause})


def _content(alert: Alert, route: AlertRoute, subject: str, queue_id: str, now: float) -> bytes:
    encoded = subject if subject.isascii() else Header(subject, "utf-8", header_name="Subject").encode(linesep="\r\n")
    header = (
        f"From: relay <{route.from_address}>",
        f"To: {', '.join(f'<{one}>' for one in route.recipients)}",
        f"Subject: {encoded}",
        f"Date: {mail_date(now)}",
        f"Message-ID: <{queue_id}@{route.hostname}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    )

    body = [_printable(line)[:900] for line in alert.text.splitlines()]
    body += ["", "-- ", f"relay on {route.hostname}. At most one mail per hour is sent about this."]
    return "".join(f"{line}\r\n" for line in (*header, "", *body)).encode("utf-8", "replace")


def _one_line(text: str) -> str:
    line = " ".join(_printable(text).split())
    return line if len(line) <= _MAX_SUBJECT else f"{line[: _MAX_SUBJECT - 1]}…"


def _printable(text: str) -> str:
    """Return the text without control characters, because it contains replies of other servers."""
    return "".join(char if char.isprintable() else " " for char in text)


def alert_route(settings: Settings) -> AlertRoute:
    """Return sender, recipients and providers of alerts."""
    hostname = settings.server.hostname
    address = settings.alerts.mail_from or f"postmaster@{hostname}"
    domain = domain_of(address)
    return AlertRoute(
        hostname,
        address,
        settings.alerts.mail_to,
        settings.providers_for(address),
        domain if domain in settings.domains else "",
        settings.queue.lifetime,
    )
