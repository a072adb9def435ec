"""Instructions of applications about one message: the statements of header fields, and their combination. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Literal, assert_never

from relay.frozen import dataclass
from relay.mail.trace_context import TRACEPARENT

MAX_VALUE = 500
"""Maximum characters of a tag, a campaign name or a metadata value."""

MAX_ITEMS = 50
"""Maximum number of tags, of metadata keys, and of copies of one message."""

Clicks = Literal["off", "html", "all"]
"""Which links may be tracked: none, those of HTML parts, or those of all parts."""

OptionName = Literal[
    "opens",
    "clicks",
    "pixel",
    "pixel_text",
    "unsubscribe_text",
    "campaign",
    "provider",
    "pool",
    "send_at",
    "expires_at",
    "sandbox",
    "ignore_lists",
    "require_tls",
    "sign",
    "priority",
    "idempotency_key",
]
"""An option of `Instructions` that has one value."""


class InstructionError(ValueError):
    """An invalid field; the message names it, the reason and a correct value."""


@dataclass(frozen=True, slots=True)
class Option:
    """The value of one option."""

    name: OptionName
    value: bool | str | float


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of the message."""

    text: str
    in_list: bool = False
    """Whether the application wrote a list of tags, even of one."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """One key of the metadata."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Copy:
    """An address that gets a copy."""

    address: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A request that is not followed."""

    why: str


Content = Option | Tag | Metadata | Copy | Ignored


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a header field. `key` is its place in a structured value, "" for the whole field."""

    field: str
    content: Content
    key: str = ""

    @property
    def place(self) -> str:
        """The field, and the key in it."""
        return f"{self.field} {self.key}".rstrip()

    def __str__(self) -> str:
        return f"{self.place}: {self.content.why}" if isinstance(self.content, Ignored) else self.place


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of the application. None and "": not given."""

    opens: bool | None = None
    clicks: Clicks | None = None
    pixel: Literal["start", "end"] | None = None
    """Place of the open pixel."""
    pixel_text: str = ""
    """Text in the HTML that the pixel replaces."""
    unsubscribe_text: str = ""
    """Text that the URL of the unsubscribe page replaces."""
    campaign: str = ""
    provider: str = ""
    pool: str = ""
    """Name of a pool of addresses at the former provider."""
    send_at: float | None = None
    """Unix seconds."""
    send_at_place: str = field(default="", compare=False)
    """Field that gave the time, and the key in it."""
    expires_at: float | None = None
    """Unix seconds after which no attempt is made."""
    sandbox: bool = False
    """Do all but the last step: the message leaves for no server, and counts as delivered."""
    ignore_lists: bool = False
    """Send to suppressed and unsubscribed addresses too."""
    require_tls: bool = False
    sign: bool | None = None
    """Whether to add a DKIM signature."""
    priority: str = ""
    idempotency_key: str = ""
    """Text that a repetition of the submission has too."""
    tags: tuple[str, ...] = ()
    tags_were_a_list: bool = False
    """Whether the application wrote a list: reports in the form of its service have one too."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    ignored: tuple[Statement, ...] = ()
    """Requests that are not followed. The CREATED event records them."""
    dialects: tuple[str, ...] = ()
    """Names of the dialects whose fields the message has."""


NO_INSTRUCTIONS = Instructions()
"""Of a message without any."""


def combine(statements: Iterable[Statement]) -> Instructions:
    """Combine statements in the order of precedence: of two values of one option, the first applies.

    The others are ignored, with the reason. Tags and copies are collected. Raises InstructionError for too many or too
    long values.
    """
    given = list(statements)
    applied: dict[str, Statement] = {}
    ignored: list[Statement] = []
    for one in given:
        _check_texts(one)
        if isinstance(one.content, Ignored):
            ignored.append(one)
        elif isinstance(one.content, Option | Metadata):
            first = applied.setdefault(_subject(one.content), one)
            ignored += _ignored_after(first, one, one.content.value)

    _leave_trace_out(applied)
    contents = [one.content for one in applied.values()]
    options: dict[str, Any] = {one.name: one.value for one in contents if isinstance(one, Option)}
    metadata = {one.name: one.value for one in contents if isinstance(one, Metadata)}
    tags = tuple(dict.fromkeys(one.content.text for one in given if isinstance(one.content, Tag)))
    copies = tuple(dict.fromkeys(one.content.address for one in given if isinstance(one.content, Copy)))

    for what, count in (("tags", len(tags)), ("metadata keys", len(metadata)), ("copies", len(copies))):
        if count > MAX_ITEMS:
            raise InstructionError(f"the message has {count} {what}, more than {MAX_ITEMS}")
    found = Instructions(
        tags=tags,
        tags_were_a_list=any(isinstance(one.content, Tag) and one.content.in_list for one in given),
        send_at_place=applied["send_at"].place if "send_at" in applied else "",
        metadata=metadata,
        copies=copies,
        ignored=_bounded(ignored),
    )
    return replace(found, **options)


def _leave_trace_out(applied: dict[str, Statement]) -> None:
    """Leave a trace out that is one key of metadata too many: a proxy before the application may have added it."""
    trace = f"metadata {TRACEPARENT}"
    count = sum(isinstance(one.content, Metadata) for one in applied.values())
    if count > MAX_ITEMS and trace in applied and applied[trace].place.lower() == TRACEPARENT:
        del applied[trace]


def _bounded(ignored: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return the ignored requests without repetitions; of more than MAX_ITEMS the first, and the number of the others.

    The event of each recipient has them, and one field can have thousands.
    """
    given = tuple(dict.fromkeys(ignored))
    if len(given) <= MAX_ITEMS:
        return given
    others = Ignored(f"{len(given) - MAX_ITEMS} more requests are ignored")
    return (*given[:MAX_ITEMS], Statement(given[MAX_ITEMS].field, others))


def _subject(content: Option | Metadata) -> str:
    """Return what a statement is about: two about the same contradict each other."""
    return content.name if isinstance(content, Option) else f"metadata {content.name}"


def _ignored_after(first: Statement, other: Statement, value: object) -> list[Statement]:
    """Return the later of two statements about one option as ignored; nothing if both have the same value."""
    if first is other or not isinstance(first.content, Option | Metadata) or first.content.value == value:
        return []
    shown = {True: "yes", False: "no"}.get(first.content.value, first.content.value)  # type: ignore[arg-type]
    return [replace(other, content=Ignored(f"{first.field} says {shown} and comes first"))]


def _check_texts(said: Statement) -> None:
    match said.content:
        case Metadata(name, value):
            texts = [name, value]
        case Option(_, value):
            texts = [str(value)]
        case Tag(text=text):
            texts = [text]
        case Copy() | Ignored():
            texts = []
        case _:
            assert_never(said.content)

    for text in texts:
        if len(text) > MAX_VALUE:
            raise InstructionError(f"{said.place}: the value is longer than {MAX_VALUE} characters")
        check_characters(said.place, text)


def check_characters(place: str, text: str) -> None:
    """Raise InstructionError for characters that no store and no JSON takes: U+0000, and halves of pairs."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise InstructionError(f"{place}: the value has a character that is no text (U+0000, or half a pair)")
