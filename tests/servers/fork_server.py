"""A process that has imported all of relay, and forks for each command: a start takes milliseconds, not seconds.

Each command is a process with a session, files, environment and exit code of its own, as `python -m relay.cli` is.
When its client goes, it is killed. `fork_client.py` and `forked.py` are the clients.
"""

import atexit
import gc
import json
import os
import random
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

from relay import cli
from relay.dsn.rules_file import built_in_rules

MAX_REQUEST = 1 << 17
"""Octets of a request."""

IMPORTED_LATER = ("relay.app.relay", "relay.app.tracker", "relay.storage.postgres.store", "uvloop")
"""Modules that commands import when they run."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command to run, as its client sends it: JSON, and the descriptors of its standard streams."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]


@dataclass(frozen=True, slots=True)
class Running:
    """A command that runs: its process with its descriptor (pidfd), and the connection of its client."""

    process: int
    descriptor: int
    client: socket.socket


def main(descriptor: str) -> None:
    """Fork for the clients of a socket until standard input ends. A fork runs its command and ends with it."""
    for module in (*(place.partition(":")[0] for place in cli.COMMANDS.values()), *IMPORTED_LATER):
        import_module(module)
    built_in_rules()
    gc.collect()
    gc.freeze()

    with socket.socket(fileno=int(descriptor)) as listener, selectors.DefaultSelector() as selector:
        request = serve(listener, selector)
    if request is not None:
        become(request)
        try:
            cli.main(prog_name="relay")
        except SystemExit as ended:
            end_at_once(ended)


def serve(listener: socket.socket, selector: selectors.BaseSelector) -> Request | None:
    """Return the request in each fork, and None at the end of standard input."""
    selector.register(0, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        (key, _), *_ = selector.select()
        if key.fd == 0:
            return None

        if key.fileobj is listener:
            client, _ = listener.accept()
            request = receive(client)
            process = os.fork()
            if not process:
                os.setsid()
                send(client, os.getpid())
                client.close()
                for running in {key.data for key in selector.get_map().values() if key.data}:
                    os.close(running.descriptor)
                    running.client.close()
                return request

            for stream in request.streams:
                os.close(stream)
            started = Running(process, os.pidfd_open(process), client)
            selector.register(started.descriptor, selectors.EVENT_READ, started)
            selector.register(client, selectors.EVENT_READ, started)
        elif key.fileobj is key.data.client:
            selector.unregister(key.fileobj)
            with suppress(ProcessLookupError):
                os.killpg(key.data.process, signal.SIGKILL)
        else:
            end(key.data, selector)


def receive(client: socket.socket) -> Request:
    """Return the request of a client."""
    content, streams, _, _ = socket.recv_fds(client, MAX_REQUEST, 3)
    arguments, folder, environment = json.loads(content)
    return Request(arguments, folder, environment, streams)


def send(client: socket.socket, number: int) -> None:
    """Send a number to a client; it may be gone."""
    with suppress(OSError):
        client.send(b"%d" % number)


def end(ended: Running, selector: selectors.BaseSelector) -> None:
    """Send the exit code of a command that ended."""
    _, status = os.waitpid(ended.process, 0)
    send(ended.client, os.waitstatus_to_exitcode(status))
    for descriptor in (ended.descriptor, ended.client):
        with suppress(KeyError):
            selector.unregister(descriptor)
    ended.client.close()
    os.close(ended.descriptor)


def become(request: Request) -> None:
    """Make this process what a new one for the command would be."""
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    random.seed()
    sys.argv = ["relay", *request.arguments]
    for number, descriptor in enumerate(request.streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    streams = {
        "stdin": os.fdopen(0, closefd=False),
        "stdout": os.fdopen(1, "w", closefd=False),
        "stderr": os.fdopen(2, "w", buffering=1, closefd=False),
    }
    for name, stream in streams.items():
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def end_at_once(ended: SystemExit) -> None:
    """End as the interpreter does, without freeing all that was imported: that would copy most of the memory."""
    if ended.code is None or isinstance(ended.code, int):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code or 0)
    raise ended


if __name__ == "__main__":
    main(*sys.argv[1:])
