"""Log lines of events, with the labels of their messages within bounds."""

from collections.abc import Mapping

from relay.events.event import Event, Kind
from relay.log import Line
from relay.log.encoded_fields import EncodedFields, EncodedLine

MAX_LABELS = 20
"""Tags, and metadata keys, in a log line."""

MAX_LABEL = 200
"""Characters of a label in a log line."""


_NAMES = {kind: f"message.{kind}" for kind in Kind}
"""The names of the lines."""


def log_line(event: Event) -> Line:
    """Return the log line of an event."""
    if isinstance(event.data, EncodedFields) and not event.labels:
        return _NAMES[event.kind], EncodedLine(event.queue_id, event.address, event.data)
    fields = {"queue_id": event.queue_id, "recipient": event.address, **event.data}
    return _NAMES[event.kind], fields | bounded_labels(event.labels) if event.labels else fields


def bounded_labels(labels: Mapping[str, object]) -> dict[str, object]:
    """Return the labels of a message within bounds: applications choose their number and length.

    `labels_left_out` counts tags and metadata keys over MAX_LABELS. A text over MAX_LABEL ends in "…".
    """
    fields = dict(labels)
    left_out = 0
    match labels.get("campaign"):
        case str(campaign):
            fields["campaign"] = _shortened(campaign)
    match labels.get("tags"):
        case tuple(tags):
            fields["tags"] = [_shortened(tag) for tag in tags[:MAX_LABELS]]
            left_out += max(len(tags) - MAX_LABELS, 0)
    match labels.get("metadata"):
        case dict(metadata):
            first = list(metadata.items())[:MAX_LABELS]
            fields["metadata"] = {_shortened(name): _shortened(value) for name, value in first}
            left_out += max(len(metadata) - MAX_LABELS, 0)
    return fields | ({"labels_left_out": left_out} if left_out else {})


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"
