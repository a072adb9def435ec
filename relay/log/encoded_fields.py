"""Encoded fields: log, store and spool write the same JSON of an event, and each took its time to encode it."""

from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring_ascii as encode_text

from relay.compact_json import json_encoder

__all__ = ["EncodedFields", "EncodedLine", "encode_text", "encoded"]

_encode = json_encoder()


class EncodedFields(dict[str, object]):
    """Fields with `members`, their JSON without the braces, in ASCII. They are never changed."""

    __slots__ = ("members",)

    members: str


def encoded(fields: Mapping[str, object]) -> EncodedFields:
    """Return fields with JSON values in this form."""
    made = EncodedFields(fields)
    made.members = _encode(made)[1:-1]
    return made


class EncodedLine(Mapping[str, object]):
    """Fields of a log line: a recipient, and an event behind it. Logs in JSON need `members` alone."""

    __slots__ = ("_fields", "_queue_id", "_recipient", "members")

    def __init__(self, queue_id: str, recipient: str, fields: EncodedFields) -> None:
        self._queue_id, self._recipient, self._fields = queue_id, recipient, fields
        first = f'"queue_id":{encode_text(queue_id)},"recipient":{encode_text(recipient)}'
        self.members = f"{first},{fields.members}" if fields else first

    def __getitem__(self, name: str) -> object:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, object]:
        return {"queue_id": self._queue_id, "recipient": self._recipient, **self._fields}
