"""Alert texts, the alert message, and the hourly throttle (one file instead of two)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.header import Header

from relay.clock import Clock
from relay.config.settings import Settings
from relay.dsn.categories import Category
from relay.events.event import Event, Kind
from relay.mail.address import is_ascii
from relay.mail.canonical import domain_of
from relay.mail.lane import DIRECT, lane_of, split_lane
from relay.mail.received import mail_date
from relay.queue.entry import Entry
from relay.queue.message import ALERT, Message, NewMessage
from relay.queue.ports import Publish, QueueStore, StoreError
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import MessageQuery, StoryStore

_LONGEST_SUBJECT = 150


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person has to look at. Alerts of one cause say the same; `avoid` is a provider they cannot go by."""

    cause: str
    subject: str
    text: str
    avoid: str = ""


@dataclass(frozen=True, slots=True)
class AlertRoute:
    """Who alerts come from, who gets them, and which way they go."""

    hostname: str
    from_address: str
    recipients: tuple[str, ...]
    ways: tuple[str, ...]
    """Providers, the preferred first."""
    domain: str = ""
    """Sending domain whose keys sign them, "" for none."""
    lifetime: float = 3 * 86400.0


def ways_around(ways: Sequence[str], avoid: str) -> tuple[str, ...]:
    """Return the ways of an alert: those of its sending domain without the one to avoid, and MX delivery at the end."""
    return tuple(dict.fromkeys(way for way in (*ways, DIRECT) if way != avoid)) or (DIRECT,)


def lane_paused(lane: str, category: str, reply: str, guidance: str) -> Alert:
    """Return the alert about a lane that was paused.

    Destinations share a cause for each category: who is on a blocklist is refused by hundreds of them in the same hour.
    """
    provider, domain = split_lane(lane)
    what = f"provider {provider}" if provider != DIRECT else f"delivery to {domain}"
    after: tuple[str, ...]
    if provider != DIRECT:
        after = (
            "Its mail takes the next of its fallback_providers meanwhile, or waits when there is none.",
            "",
            "  relay provider list             how the providers are",
            f"  relay send-test --provider {provider}",
            f"  relay provider resume {provider}   when it is mended: try it at once",
        )
    else:
        after = (
            "Mail for this destination waits and is tried again by itself. Other destinations that refuse for the same",
            "reason within the hour are in the log (delivery.paused), not in further mails.",
        )
    lines = (f"{what[0].upper()}{what[1:]} is paused.", "", f"It answered: {reply}", f"Category:    {category}")
    text = "\n".join((*lines, f"What to do:  {guidance}", "", *after))
    cause = f"paused {lane}" if provider != DIRECT else f"paused destinations: {category}"
    return Alert(cause, f"{what} is paused: {reply}", text, "" if provider == DIRECT else provider)


def mail_refused(about: Category, domain: str, reply: str, remote: str, queue_id: str) -> Alert:
    """Return the alert about mail of a sending domain that is refused for a reason that lies with us."""
    text = (
        f"Mail of {domain or 'a sender without a domain of its own'} is refused: {about.title}.\n\n"
        f"It answered: {reply}\n"
        f"Where:       {remote or 'not told'}\n"
        f"Message:     {queue_id} (relay trace {queue_id})\n"
        f"What to do:  {' '.join(about.guidance)}\n\n"
        f"How much of it is refused: relay report bounces --since 1d --category {about.name}\n"
    )
    return Alert(f"refused: {about.name} {domain}", f"mail of {domain or 'ours'} is refused: {about.title}", text)


def store_was_away(seconds: float, error: str) -> Alert:
    """Return the alert about a store that did not take mail, and does again."""
    text = (
        f"The store did not answer for {seconds:.0f} seconds; it answers again.\n\n"
        f"It said:     {error}\n"
        "What to do:  look at the disk (space, errors in the system's log) or at the database server.\n\n"
        "Applications were told to come again (451, or 452 when it was full), and nothing accepted was lost.\n"
    )
    return Alert("store", f"the store was away for {seconds:.0f} seconds: {error}", text)


def alert_message(alert: Alert, post: AlertRoute, queue_id: str, now: float) -> NewMessage:
    """Return the alert as a message of its own: null reverse-path, Auto-Submitted (RFC 3834), an entry a recipient."""
    subject = _one_line(f"[relay {post.hostname}] {alert.subject}")
    content = _content(alert, post, subject, queue_id, now)
    first, *others = ways_around(post.ways, alert.avoid)
    message = Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path="",
        policy=MessagePolicy(domain=post.domain, provider=first, fallback_providers=tuple(others)),
        smtputf8=not all(map(is_ascii, (post.from_address, *post.recipients))),
        size=len(content),
        message_id=f"<{queue_id}@{post.hostname}>",
        header_from=post.from_address,
        subject=subject,
        metadata={ALERT: alert.cause},
    )
    entries = tuple(
        Entry(
            queue_id=queue_id,
            number=number,
            recipient=recipient,
            lane=lane_of(first, recipient),
            created_at=now,
            expires_at=now + post.lifetime,
            next_attempt_at=now,
            notify=("NEVER",),
        )
        for number, recipient in enumerate(post.recipients)
    )
    created = tuple(
        Event(Kind.CREATED, now, queue_id, one.number, one.recipient, {ALERT: alert.cause, "lane": one.lane})
        for one in entries
    )
    return NewMessage(message, content, entries, created)


def _content(alert: Alert, post: AlertRoute, subject: str, queue_id: str, now: float) -> bytes:
    encoded = subject if subject.isascii() else Header(subject, "utf-8", header_name="Subject").encode(linesep="\r\n")
    header = (
        f"From: relay <{post.from_address}>",
        f"To: {', '.join(f'<{one}>' for one in post.recipients)}",
        f"Subject: {encoded}",
        f"Date: {mail_date(now)}",
        f"Message-ID: <{queue_id}@{post.hostname}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    )
    body = [_printable(line)[:900] for line in alert.text.splitlines()]
    body += ["", "-- ", f"relay on {post.hostname}. There is one mail an hour at most about this."]
    return "".join(f"{line}\r\n" for line in (*header, "", *body)).encode("utf-8", "replace")


def _one_line(text: str) -> str:
    line = " ".join(_printable(text).split())
    return line if len(line) <= _LONGEST_SUBJECT else f"{line[: _LONGEST_SUBJECT - 1]}…"


def _printable(text: str) -> str:
    """Return the text without control characters: replies of strangers end up in it."""
    return "".join(char if char.isprintable() else " " for char in text)


QUIET = 3600.0
"""Seconds between two alerts of one cause."""


STORE_RETRY = 5.0
"""Seconds between two attempts to store an alert."""


_MOST_WAITING = 100


class AlertMailer:
    """Sends alerts through the queue, as local mail. Does nothing while `alerts.mail_to` is empty.

    `wake` makes the runner look for due entries.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        store: QueueStore,
        stories: StoryStore,
        clock: Clock,
        new_id: Callable[[float], str],
        publish: Publish,
        wake: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._stories = stories
        self._clock = clock
        self._new_id = new_id
        self._publish = publish
        self._wake = wake
        self._told: dict[str, float] = {}
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(_MOST_WAITING)

    def alert(self, cause: str, subject: str, text: str) -> None:
        """Queue an alert mail. `subject` says what happened; `text` has the details and what to do.

        Further alerts of the same cause are dropped for an hour. Never blocks and never raises.
        """
        self.send(Alert(cause, subject, text))

    def send(self, alert: Alert) -> None:
        """Queue an alert, with the same throttle."""
        now = self._clock()
        if not self._settings().alerts.mail_to or self._waiting.full():
            return
        self._told = {cause: at for cause, at in self._told.items() if now - at < QUIET}
        if alert.cause in self._told:
            return
        self._told[alert.cause] = now
        self._waiting.put_nowait(alert)

    async def run(self) -> None:
        """Enqueue alerts until cancelled, and retry while the store fails."""
        while True:
            alert = await self._waiting.get()
            while True:
                try:
                    await self._enqueue(alert)
                    break
                except StoreError:
                    await asyncio.sleep(STORE_RETRY)

    async def _enqueue(self, alert: Alert) -> None:
        """Enqueue the alert, unless an earlier process did so within the hour."""
        now = self._clock()
        lately = MessageQuery(metadata={ALERT: alert.cause}, since=now - QUIET, limit=1)
        if await self._stories.stories(lately):
            return
        accepted = alert_message(alert, post_of(self._settings()), self._new_id(now), now)
        await self._store.enqueue(accepted)
        self._publish(accepted.events)
        self._wake()


def post_of(settings: Settings) -> AlertRoute:
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
