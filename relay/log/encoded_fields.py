"""Encoded fields: log, store and spool write the same JSON of an event, and each took its time to encode it."""

from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as encode_text

from relay.compact_json import json_encoder

__all__ = ["EncodedFields", "encode_text", "encoded"]

_encode = json_encoder()


class EncodedFields(dict[str, object]):
    """Fields with `members`, their JSON without the braces, in ASCII. They are never changed."""

    __slots__ = ("members",)

    def __init__(self, fields: Mapping[str, object], members: str) -> None:
        super().__init__(fields)
        self.members = members

    def after(self, queue_id: str, recipient: str) -> "EncodedFields":
        """Return the fields behind those of a recipient."""
        first = f'"queue_id":{encode_text(queue_id)},"recipient":{encode_text(recipient)}'
        return EncodedFields({"queue_id": queue_id, "recipient": recipient, **self}, f"{first},{self.members}")


def encoded(fields: Mapping[str, object]) -> EncodedFields:
    """Return fields with JSON values in this form."""
    return EncodedFields(fields, _encode(dict(fields))[1:-1])
