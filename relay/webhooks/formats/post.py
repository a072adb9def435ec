"""One post, and what a format may use beside the records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relay.webhooks.build import Record
from relay.webhooks.signing import Key

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Post:
    """Body and header fields of one post, beside the signature of Standard Webhooks, which all posts have."""

    id: str
    """Stays the same when the post is repeated."""
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sender:
    """The webhook that posts, for the formats. `secret` is the text of the first key, "" for none."""

    name: str
    hostname: str
    keys: tuple[Key, ...] = ()
    secret: str = ""


def type_of_record(record: Record) -> str:
    """Return the type of a record."""
    return record.type


@dataclass(frozen=True, slots=True)
class PostFormat:
    """A format: the records it has a form for, and the post of some records."""

    takes: Callable[[Record], bool]
    encode: Callable[[Sequence[Record], Sender, float, str], Post]
    """Records, sender, time of the attempt in Unix seconds, and a random text of 50 hexadecimal digits."""
    type_of: Callable[[Record], str] = type_of_record
    """Receivers distinguish records by this: they may refuse one type and accept others."""
