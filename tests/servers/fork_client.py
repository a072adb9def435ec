"""Requests to the fork server. As a program it is the command `relay`, run by the server that the environment names."""

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = "RELAY_TEST_FORK_SERVER"
"""Variable with the name of the server's socket, in Linux's abstract namespace."""


def request(
    server: str, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]
) -> socket.socket:
    """Start a command; return the connection, on which its process id comes, and its exit code when it has ended."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(f"\0{server}")
        content = json.dumps([arguments, str(Path.cwd()), dict(environment)])
        socket.send_fds(connection, [content.encode()], streams)
    except BaseException:
        connection.close()
        raise
    return connection


if __name__ == "__main__":
    with request(os.environ[SERVER], sys.argv[1:], os.environ, (0, 1, 2)) as running:
        running.recv(16)
        code = int(running.recv(16))
    sys.exit(code if code >= 0 else 128 - code)
