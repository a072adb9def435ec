"""Why an entry has not left yet: everything that decides when it leaves, and what an operator can do. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from relay.mail.lane import DIRECT
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.pause import Pause
from relay.queue.routing import LanePause, provider_of
from relay.queue.site import Site
from relay.queue.site_traffic import SiteTraffic


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that decides when an entry leaves. `text` is for operators."""

    cause: str
    text: str
    until: float = 0.0
    """Unix seconds; 0 for no known time."""
    remedy: str = ""
    """What an operator can do, "" for nothing."""
    sender_text: str = ""
    """Text for those who may read about their own mail only, "" if `text` is about that alone."""

    @property
    def for_sender(self) -> str:
        """The text without what concerns the mail of others."""
        return self.sender_text or self.text


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of a lane."""

    lane: str
    endpoints: tuple[str, ...] = ()
    """In the order in which they are asked."""
    problem: str = ""
    """Why there are none."""


@dataclass(frozen=True, slots=True)
class WaitContext:
    """What holds for an entry now. Times are Unix seconds."""

    now: float
    pause: Pause | None = None
    lane_pause: LanePause | None = None
    in_flight: int = 0
    """Transactions of its lane in flight."""
    concurrency: int = 0
    """Transactions of its lane that may be in flight; 0 for a lane not in use."""
    site: Site | None = None
    traffic: SiteTraffic | None = None
    """The traffic of its site, or of the address, whichever lets it wait longer."""
    site_in_flight: int = 0
    """Transactions of all lanes of its site in flight."""
    store_fault: str = ""
    """Why the store does not answer, or has no space."""
    takes_part: bool = True
    """Whether this node takes part in deliveries."""


def reasons(message: Message, entry: Entry, found: WaitContext) -> Iterator[Reason]:
    """Yield what decides when an entry leaves, the strongest first; for a final one, what became of it."""
    reply = str(entry.last_reply) if entry.last_reply else ""
    match entry.state:
        case State.DELIVERED:
            yield Reason("delivered", f"{entry.last_remote or 'the receiver'} accepted it: {reply}")
        case State.BOUNCED:
            yield Reason("bounced", entry.reason or f"{entry.last_remote or 'this relay'} refused it: {reply}")
        case State.DROPPED:
            yield Reason("dropped", entry.reason)
        case State.HELD:
            yield Reason("held", entry.reason, remedy=f"relay queue release {entry.queue_id}")
        case State.ACTIVE:
            yield Reason("active", "an attempt is in progress; its entry is leased to a process")
            yield from _of_site(found)
        case State.WAITING:
            yield from _of_relay(found)
            yield from _of_waiting(entry, reply, found)
            yield from _of_site(found)
        case never:
            assert_never(never)
    if entry.uncertain and not entry.is_final:
        text = "the last attempt may have succeeded: its reply did not arrive, so the next one comes later"
        yield Reason("uncertain", text)
    del message


def _of_relay(found: WaitContext) -> Iterator[Reason]:
    if found.store_fault:
        yield Reason(
            "store",
            f"the store does not answer: {found.store_fault}",
            remedy="check disk and database",
            sender_text="the relay cannot use its store now",
        )
    if not found.takes_part:
        text = "this node takes no part in deliveries yet: the others have not counted it, or its clock is wrong"
        yield Reason("node", text, remedy="relay nodes", sender_text="the relay takes no part in deliveries now")


def _of_waiting(entry: Entry, reply: str, found: WaitContext) -> Iterator[Reason]:
    provider, now = provider_of(entry.lane), found.now
    if (pause := found.pause) is not None:
        kind, _, value = pause.subject.partition(":")
        option = value if kind == "site" else f"--{kind} {value}"
        sender_text = pause.reason if pause.is_shared else ""
        yield Reason("paused", pause.full_reason, pause.until, f"relay site resume {option}", sender_text)
    elif entry.release_at > now:
        text = entry.reason or "a limit, or the time of sending that the application asked for"
        yield Reason("release time", text, entry.release_at, "raise the limit; or wait")
    if entry.attempts and entry.next_attempt_at > now:
        text = f"attempt {entry.attempts} was deferred by {entry.last_remote or 'this relay'}: {reply}"
        yield Reason("back-off", text, entry.next_attempt_at, f"relay queue flush {entry.queue_id}")
    if (down := found.lane_pause) is not None:
        remedy = "it is tried again by itself" if provider == DIRECT else f"relay provider resume {provider}"
        sender_text = "deliveries to these servers are paused after a failure"
        yield Reason("lane paused", f"{entry.lane} failed: {down.why}", down.until, remedy, sender_text)
    if found.concurrency and found.in_flight >= found.concurrency:
        text = f"{found.in_flight} transactions of {entry.lane} are in progress, of {found.concurrency}"
        sender_text = "the transactions with these servers that are allowed at the same time are in progress"
        yield Reason("lane full", text, remedy="it grows with each success", sender_text=sender_text)


def _of_site(found: WaitContext) -> Iterator[Reason]:
    site, traffic = found.site, found.traffic
    if site is None:
        return
    if found.site_in_flight >= site.connections:
        busy = f"{found.site_in_flight} transactions are in progress"
        text = f"{busy}, over {site.connections} connections of the site {site.name}"
        yield Reason(
            "site connections",
            text,
            remedy="[[site]] connections, if the operator allows more",
            sender_text="the connections to the receiver that are allowed are in use",
        )
    if traffic is None or not traffic.is_limited:
        return
    rate, per_minute = traffic.rate, f"{traffic.messages_per_minute:.3g} messages a minute"
    sender_text = "the receiver gets mail at a limited rate"
    if rate is None:
        text = f"the site {site.name} gets at most {per_minute} by its profile"
        yield Reason("site rate", text, 0.0, "[[site]] rate", sender_text)
        return
    state = "is probed" if rate.is_probing else f"gets {per_minute}"
    until = max(rate.not_before, 0.0) if rate.not_before > found.now else 0.0
    text = f"the site {site.name} {state} since it replied: {rate.why}"
    yield Reason("site rate", text, until, "send less to it", sender_text)
