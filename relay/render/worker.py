"""The renderer process: reads requests from a socket, renders, writes answers. It keeps no state.

It has no keys of its own: each request carries those of its message. `relay.render.frames` defines the frames.
"""

import gc
import os
import resource
import signal
from typing import BinaryIO

from relay.render.frames import LENGTH, READY, Answer, Failed, answer_frame, read_request
from relay.render.render import render_contents

COLLECT_EVERY = 1000
"""Answers between two garbage collections. Rendering makes little cyclic garbage. Automatic collections during a mail
with a hundred thousand links take more than linear time."""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until the other end closes."""
    sink.write(READY)
    sink.flush()
    answers = 0
    while len(header := source.read(LENGTH)) == LENGTH:
        sink.write(answer_frame(_answer(source.read(int.from_bytes(header, "big")))))
        sink.flush()
        answers += 1
        if answers % COLLECT_EVERY == 0:
            gc.collect()


def _answer(body: bytes) -> Answer:
    try:
        request = read_request(body)
        return render_contents(request.message, request.recipients, request.keys, eight_bit=request.eight_bit)
    except (MemoryError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        return Failed(ascii(f"{type(error).__name__}: {error}")[1:-1][:200])


def main(fd: int, max_memory: int) -> None:
    """Serve on the inherited socket. `max_memory` is the limit of the address space in octets."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.disable()
    with os.fdopen(fd, "rb") as source, os.fdopen(os.dup(fd), "wb") as sink:
        serve(source, sink)
