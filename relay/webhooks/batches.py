"""Groups records for posting. Pure."""

from collections.abc import Iterator, Sequence
from zlib import crc32

from relay.webhooks.build import Record

BATCH_OCTETS = 512 * 1024
"""Octets of the bodies in one post, at most. SendGrid's limit is 768 kB; its format is about as long as the body."""


def batches(records: Sequence[Record], size: int) -> Iterator[list[Record]]:
    """Yield the records of one post each: at most `size`, and within the limit of octets."""
    batch: list[Record] = []
    octets = 0
    for record in records:
        length = len(record.body.encode()) if size > 1 else 0
        if batch and (len(batch) == size or octets + length > BATCH_OCTETS):
            yield batch
            batch, octets = [], 0
        batch.append(record)
        octets += length
    if batch:
        yield batch


def partitions(records: Sequence[Record], count: int) -> list[list[Record]]:
    """Return the records in parts that are posted side by side. Those of one message stay in one part, in order."""
    found: list[list[Record]] = [[] for _ in range(count)]
    for record in records:
        found[crc32(record.event.queue_id.encode()) % count].append(record)
    return [one for one in found if one]
