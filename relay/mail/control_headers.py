"""Instructions of applications in X-Relay-* header fields, which are removed before signing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from relay.mail.headers import Field

PREFIX = b"x-relay-"

HIDDEN_RECIPIENTS = (b"bcc", b"resent-bcc")
"""Fields that name hidden recipients (RFC 5322 section 3.6.3)."""

_META = b"x-relay-meta-"

MAX_VALUE = 500
"""Maximum octets of a tag, a campaign name or a metadata value."""

MAX_ITEMS = 50
"""Maximum number of tags, and of metadata keys, of one message."""

LAST_YEAR = 9000
"""Latest year of X-Relay-Send-At: times derived from it, such as the expiry, must have four-digit years too."""


class InstructionError(ValueError):
    """An invalid field; the message names it, the reason and a correct value."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of the application. None: not given."""

    track: frozenset[str] | None = None
    """A subset of {"opens", "clicks"}."""
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    provider: str = ""
    send_at: float | None = None
    """Unix seconds."""
    unknown: tuple[str, ...] = ()
    """Names of unknown X-Relay-* fields, which are removed and recorded in the CREATED event."""


def parse_instructions(content: bytes, found: Sequence[Field]) -> Instructions:
    """Parse the X-Relay-* fields; raise InstructionError for an invalid value.

    The last field of a name applies, except that tags are collected.
    """
    track: frozenset[str] | None = None
    campaign = provider = ""
    send_at: float | None = None
    tags: list[str] = []
    unknown: list[str] = []

    metadata: dict[str, str] = {}
    for one in found:
        if not one.name.startswith(PREFIX):
            continue
        value = _text(one, content)
        match one.name:
            case b"x-relay-track":
                track = _track(value)
            case b"x-relay-campaign":
                campaign = value
            case b"x-relay-tag":
                tags.append(value)
            case b"x-relay-provider":
                provider = value
            case b"x-relay-send-at":
                send_at = _time(value)
            case name if name.startswith(_META) and len(name) > len(_META):
                metadata[name[len(_META) :].decode()] = value
            case name:
                unknown.append(name.decode())

    if len(tags) > MAX_ITEMS or len(metadata) > MAX_ITEMS:
        raise InstructionError(f"more than {MAX_ITEMS} X-Relay-Tag or X-Relay-Meta fields")

    return Instructions(track, campaign, tuple(dict.fromkeys(tags)), metadata, provider, send_at, tuple(unknown))


def is_removed(found: Field) -> bool:
    """Whether the field is for the relay only, and is removed before the message leaves."""
    return found.name in HIDDEN_RECIPIENTS or found.name.startswith(PREFIX)


def _text(one: Field, content: bytes) -> str:
    value = one.value(content).decode("utf-8", "replace")
    if len(value) > MAX_VALUE:
        raise InstructionError(f"{one.name.decode()}: the value is longer than {MAX_VALUE} characters")
    return value


def _track(value: str) -> frozenset[str]:
    words = {word.strip().lower() for word in value.split(",")}
    if words == {"none"}:
        return frozenset()
    if not words <= {"opens", "clicks"}:
        raise InstructionError(f'X-Relay-Track: "{value}" is not "none", "opens", "clicks" or "opens,clicks"')
    return frozenset(words)


def _time(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InstructionError(
            f'X-Relay-Send-At: "{value}" is not a time by RFC 3339 with its zone, such as "2026-11-25T09:00:00Z"'
        )
    if moment.year > LAST_YEAR:
        raise InstructionError(f'X-Relay-Send-At: "{value}" is later than the year {LAST_YEAR}')
    return moment.timestamp()
