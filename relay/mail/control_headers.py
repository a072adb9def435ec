"""Instructions of applications in X-Relay-* header fields, which are removed before signing. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from relay.mail.headers import Field
from relay.mail.instructions import MAX_VALUE, Ignored, InstructionError, Metadata, Option, Statement, Tag

PREFIX = b"x-relay-"

HIDDEN_RECIPIENTS = (b"bcc", b"resent-bcc")
"""Fields that name hidden recipients (RFC 5322 section 3.6.3)."""

IDEMPOTENCY_KEYS = (b"x-relay-idempotency-key", b"resend-idempotency-key")
"""Fields with the key that a repetition has too. Clients of Resend write the second."""

MAX_IDEMPOTENCY_KEY = 256
"""Characters of an idempotency key, at most."""

_REMOVED = frozenset({*HIDDEN_RECIPIENTS, *IDEMPOTENCY_KEYS})

_TAG = b"x-relay-tag"

_META = b"x-relay-meta-"

PRIORITIES = ("high", "normal", "campaign")
"""Values of X-Relay-Priority."""

UNKNOWN = "unknown field"
"""Why a field whose name has no meaning is ignored."""

LAST_YEAR = 9000
"""Latest year of X-Relay-Send-At: times derived from it, such as the expiry, must have four-digit years too."""


def read_control_headers(content: bytes, found: Sequence[Field]) -> Iterator[Statement]:
    """Yield the statements of the X-Relay-* fields; raise InstructionError for an invalid value.

    The last field of a name applies, except that tags are collected.
    """
    ours = [one for one in found if one.name.startswith(PREFIX) or one.name in IDEMPOTENCY_KEYS]
    last = {one.name: one for one in ours}
    for one in ours:
        if one.name == _TAG or one is last[one.name]:
            yield from _statements(one, _text(one, content))


def may_hold_removed_field(header: bytes) -> bool:
    """Whether a header may have a field that `is_removed`: no for most mail, and quicker than to look at each field."""
    lower = header.lower()
    return PREFIX in lower or b"bcc" in lower or b"idempotency-key" in lower


def is_removed(found: Field) -> bool:
    """Whether the field is for the relay only, and is removed before the message leaves."""
    return found.name.startswith(PREFIX) or found.name in _REMOVED


def _statements(one: Field, value: str) -> Iterator[Statement]:
    field = one.name.decode()
    match one.name:
        case b"x-relay-track":
            track = _track(value)
            yield Statement(field, Option("opens", "opens" in track))
            yield Statement(field, Option("clicks", "all" if "clicks" in track else "off"))
        case b"x-relay-campaign":
            yield Statement(field, Option("campaign", value))
        case name if name == _TAG:
            yield Statement(field, Tag(value))
        case b"x-relay-provider":
            yield Statement(field, Option("provider", value))
        case b"x-relay-priority":
            yield Statement(field, Option("priority", _priority(value)))
        case name if name in IDEMPOTENCY_KEYS:
            yield Statement(field, Option("idempotency_key", idempotency_key(field, value)))
        case b"x-relay-sandbox":
            yield Statement(field, Option("sandbox", _flag("X-Relay-Sandbox", value)))
        case b"x-relay-send-at":
            yield Statement("X-Relay-Send-At", Option("send_at", _time(value)))
        case name if name.startswith(_META) and len(name) > len(_META):
            yield Statement(field, Metadata(name[len(_META) :].decode(), value))
        case _:
            yield Statement(field, Ignored(UNKNOWN))


def _text(one: Field, content: bytes) -> str:
    value = one.value(content).decode("utf-8", "replace")
    if len(value) > MAX_VALUE:
        raise InstructionError(f"{one.name.decode()}: the value is longer than {MAX_VALUE} characters")
    return value


def idempotency_key(place: str, value: str) -> str:
    """Return a valid idempotency key. Raises InstructionError that names the place."""
    if not (0 < len(value) <= MAX_IDEMPOTENCY_KEY and value.isprintable()):
        raise InstructionError(f"{place}: must have 1 to {MAX_IDEMPOTENCY_KEY} printable characters")
    return value


def _track(value: str) -> set[str]:
    words = {word.strip().lower() for word in value.split(",")}
    if words == {"none"}:
        return set()
    if not words <= {"opens", "clicks"}:
        raise InstructionError(f'X-Relay-Track: "{value}" is not "none", "opens", "clicks" or "opens,clicks"')
    return words


def _flag(field: str, value: str) -> bool:
    if value.lower() not in ("yes", "no"):
        raise InstructionError(f'{field}: "{value}" is not "yes" or "no"')
    return value.lower() == "yes"


def _priority(value: str) -> str:
    if value.lower() not in PRIORITIES:
        raise InstructionError(f'X-Relay-Priority: "{value}" is not "high", "normal" or "campaign"')
    return value.lower()


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
