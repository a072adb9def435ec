"""Real servers on loopback for tests: an SMTP server that catches mail and misbehaves on request, and a DNS server.

Both are asynchronous context managers on a free port:

    async with Sink() as sink, DnsServer("mx.example.test. A 127.0.0.1") as dns: ...
"""

from tests.servers.actions import Dribble, Drop, Hang, Received, Reset, Say, Wait
from tests.servers.dns_server import DnsServer
from tests.servers.raw import raw_server
from tests.servers.sink import Sink

__all__ = ["DnsServer", "Dribble", "Drop", "Hang", "Received", "Reset", "Say", "Sink", "Wait", "raw_server"]
