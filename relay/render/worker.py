"""The renderer process: reads requests from a socket, renders, writes answers. It keeps no state.

It has no keys of its own: each request carries those of its message. `relay.render.frames` defines the frames.
"""

import gc
import os
import resource
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from io import RawIOBase
from typing import BinaryIO

from relay.content_file import read_whole
from relay.malloc import keep_small_blocks
from relay.render.frames import LENGTH, READY, Answer, Failed, Request, answer_frame, read_request
from relay.render.message import RenderedContent
from relay.render.render import render_contents

COLLECT_EVERY = 1000
"""Answers between two garbage collections. Rendering makes little cyclic garbage. Automatic collections during a mail
with a hundred thousand links take more than linear time."""

KEPT_MEMORY = 8 * 1024 * 1024
"""Octets of freed memory that are kept for the next message."""


def serve(source: BinaryIO, sink: RawIOBase, descriptors: socket.socket, max_cpu: int) -> None:
    """Answer requests until the other end closes. `descriptors` passes those of files.

    A message that takes more than `max_cpu` seconds of CPU time ends the process by SIGPROF. The relay ends it earlier,
    unless the relay itself was killed.
    """
    _write(sink, READY)
    answers = 0
    while len(header := source.read(LENGTH)) == LENGTH:
        body = source.read(int.from_bytes(header, "big"))
        signal.setitimer(signal.ITIMER_PROF, max_cpu)
        _write(sink, _answer(body, descriptors))
        signal.setitimer(signal.ITIMER_PROF, 0)  # The next request, while it is read, is no part of this message.
        answers += 1
        if answers % COLLECT_EVERY == 0:
            gc.collect()


def _answer(body: bytes, descriptors: socket.socket) -> bytes:
    """Return the frame that answers a request."""
    try:
        request = read_request(body)
        message = request.message
        if request.in_files:
            return answer_frame(_answer_in_file(request, descriptors))
        rendered = render_contents(message, request.recipients, request.keys, eight_bit=request.eight_bit)
        return answer_frame(rendered, message.content)
    except (MemoryError, RecursionError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return answer_frame(Failed(ascii(f"{type(error).__name__}: {error}")[1:-1][:200]))


def _answer_in_file(request: Request, descriptors: socket.socket) -> Answer:
    """Render the content of a file into another one. The answer has the notes alone."""
    _, fds, _, _ = socket.recv_fds(descriptors, 1, 2)
    with os.fdopen(fds[0], "rb", buffering=0), os.fdopen(fds[1], "wb", buffering=0) as target:
        message = replace(request.message, content=read_whole(fds[0]))
        (rendered,) = render_contents(message, request.recipients, request.keys, eight_bit=request.eight_bit)
        target.truncate(0)  # An earlier attempt may have left a part.
        target.seek(0)
        _write(target, rendered.content)
    return [RenderedContent(b"", rendered.notes)]


def _write(target: RawIOBase, octets: bytes) -> None:
    """Write all octets. There is no buffer: an answer goes out in one piece, so that the relay wakes once for it."""
    written = target.write(octets) or 0
    while written < len(octets):
        written += target.write(memoryview(octets)[written:]) or 0


def limit_memory(octets: int) -> None:
    """Limit the address space of this process, to less where the system allows less."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = octets if hard == resource.RLIM_INFINITY else min(octets, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def main(fd: int, descriptors: int, max_memory: int, max_cpu: int) -> None:
    """Serve on the inherited sockets. `max_memory` is the limit of the address space in octets."""
    # Those of a terminal or of log rotation reach all processes of the relay. They are for the one that serves.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    limit_memory(max_memory)
    keep_small_blocks(KEPT_MEMORY)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.disable()
    # The relay may end at any time. Closing the sink then fails too.
    with (
        suppress(BrokenPipeError, ConnectionResetError),
        os.fdopen(fd, "rb") as source,
        os.fdopen(os.dup(fd), "wb", buffering=0) as sink,
        socket.socket(fileno=descriptors) as passing,
    ):
        serve(source, sink, passing, max_cpu)
