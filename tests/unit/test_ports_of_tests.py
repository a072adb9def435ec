"""Ports of tests: two runs side by side never get the same."""

import asyncio
import os
import socket
import subprocess
import sys
from unittest.mock import patch

from tests.ports import free_port
from tests.servers.dns_server import DnsServer

GIVEN = "from tests.ports import free_port; print(*(free_port() for _ in range(100)), flush=True); input()"


def test_runs_side_by_side_are_given_different_ports() -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", GIVEN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTEST_XDIST_WORKER": "gw0"},
        )
        for _ in range(3)
    ]
    ports: list[str] = []
    for run in runs:
        assert run.stdout is not None
        ports += run.stdout.readline().split()
    for run in runs:
        run.communicate("\n")
    assert len(set(ports)) == 300


async def test_a_name_server_gets_a_number_that_is_free_for_udp_and_tcp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        number = free_port()
        taken.bind(("127.0.0.1", number))
        numbers = iter([number, 0])
        start_server = asyncio.start_server
        with patch("asyncio.start_server", lambda serve, host, port: start_server(serve, host, next(numbers))):
            async with DnsServer() as dns:
                assert dns.port != number
