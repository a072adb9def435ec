"""A renderer process: reads requests from a socket, renders, answers. It holds nothing that cannot be lost.

A frame is four octets of length (big-endian) and a pickle. Both ends are one program: nothing foreign is unpickled.
"""

import gc
import os
import pickle
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from relay.domains.keys import Keys
from relay.render.render import Rendering, Stored, render

LENGTH = 4


COLLECT_EVERY = 1000
"""Answers after which cyclic garbage is collected. Rendering makes none to speak of, and a collector that looks through
the hundred thousand links of a large mail again and again takes time that grows faster than the mail."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message to render."""

    stored: Stored
    recipients: Sequence[int]
    eight_bit: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """Rendering raised; the worker lives on."""

    reason: str


Answer = list[Rendering] | Failed


def frame(value: object) -> bytes:
    """Return the value as a frame."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH, "big") + data


def serve(source: BinaryIO, sink: BinaryIO, keys: Keys) -> None:
    """Answer requests until the other end closes; a Keys frame replaces the keys and has no answer."""
    answers = 0
    while (header := source.read(LENGTH)) and len(header) == LENGTH:
        request: Any = pickle.loads(source.read(int.from_bytes(header, "big")))  # noqa: S301 - from our own parent
        if isinstance(request, Keys):
            keys = request
            continue
        sink.write(frame(_answer(request, keys)))
        sink.flush()
        answers += 1
        if answers % COLLECT_EVERY == 0:
            gc.collect()


def _answer(request: Request, keys: Keys) -> Answer:
    try:
        return render(request.stored, request.recipients, keys, eight_bit=request.eight_bit)
    except (MemoryError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        return Failed(f"{type(error).__name__}: {error}"[:200])


def main(fd: int, max_memory: int) -> None:
    """Serve on the inherited socket within that much memory (octets); the first frame holds the keys."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.disable()
    with os.fdopen(fd, "rb") as source, os.fdopen(os.dup(fd), "wb") as sink:
        header = source.read(LENGTH)
        if len(header) == LENGTH:
            keys = pickle.loads(source.read(int.from_bytes(header, "big")))  # noqa: S301 - from our own parent
            serve(source, sink, keys)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
