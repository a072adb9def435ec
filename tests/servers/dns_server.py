"""A name server on loopback, over UDP and TCP, with the zone a test writes and the troubles it asks for."""

import asyncio
import errno
import os
from types import TracebackType
from typing import Any, Literal, Self, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from relay.resolver import Resolver

Trouble = Literal["SERVFAIL", "REFUSED", "NXDOMAIN", "silent", "garbage", "truncated", "forged"]


class DnsServer:
    """Answers from lines such as "example.test. MX 10 mx.example.test."; what no line names does not exist.

    `trouble` gives a name (and all below it) something else than an answer: an rcode, silence, garbage; "truncated"
    answers in full over TCP only, "forged" sends false answers ahead of the right one.
    """

    def __init__(self, zone: str = "", trouble: dict[str, Trouble] | None = None) -> None:
        self.port = 0
        self.questions: list[tuple[str, str]] = []
        self.trouble = {dns.name.from_text(name): what for name, what in (trouble or {}).items()}
        self._records: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], list[str]] = {}
        for line in zone.splitlines():
            self.add(line)

    def add(self, line: str) -> None:
        """Add a record; blank lines are skipped."""
        if line.strip():
            name, kind, value = line.split(None, 2)
            key = (dns.name.from_text(name), dns.rdatatype.from_text(kind))
            self._records.setdefault(key, []).append(value)

    def change(self, line: str) -> None:
        """Set a record in place of all others of its name and type."""
        name, kind, value = line.split(None, 2)
        self._records[dns.name.from_text(name), dns.rdatatype.from_text(kind)] = [value]

    @property
    def endpoint(self) -> tuple[str, int]:
        """What a `Resolver` is given as one of its name servers."""
        return ("127.0.0.1", self.port)

    def resolver(self, **more: Any) -> Resolver:
        """Return a resolver that asks this server: it waits long, except where some names get no answer."""
        timeout = 0.3 if {"silent", "garbage"} & set(self.trouble.values()) else 20.0
        return Resolver([self.endpoint], timeout=timeout, lifetime=2 * timeout, **more)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        while True:
            self._tcp = await asyncio.start_server(self._serve_tcp, "127.0.0.1", 0)
            self.port = self._tcp.sockets[0].getsockname()[1]
            try:
                self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=self.endpoint)
            except OSError as error:
                # Another process has the UDP port of this number: the next TCP port is tried.
                if error.errno != errno.EADDRINUSE:
                    raise
                self._tcp.close()
                await self._tcp.wait_closed()
            else:
                return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def answers(self, wire: bytes, *, over_tcp: bool) -> list[bytes]:
        """Return the packets sent back."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        self.questions.append((question.name.to_text(), dns.rdatatype.to_text(question.rdtype)))
        what = next((it for name, it in self.trouble.items() if question.name.is_subdomain(name)), None)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        match what:
            case "silent":
                return []
            case "garbage":
                return [os.urandom(60)]
            case "SERVFAIL" | "REFUSED" | "NXDOMAIN":
                response.set_rcode(dns.rcode.from_text(what))
                return [response.to_wire()]
            case "truncated" if not over_tcp:
                response.flags |= dns.flags.TC
                return [response.to_wire()]
        self._fill(response, question.name, question.rdtype)
        right = response.to_wire(max_size=65535)
        if what == "forged" and not over_tcp:
            return [self._forged_id(query), self._forged_question(query), right]
        return [right]

    def _fill(
        self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType, depth: int = 0
    ) -> None:
        alias = self._records.get((name, dns.rdatatype.CNAME))
        if alias and kind != dns.rdatatype.CNAME and depth < 8:
            self._put(response, name, dns.rdatatype.CNAME, alias)
            self._fill(response, dns.name.from_text(alias[0]), kind, depth + 1)
            return
        values = self._records.get((name, kind))
        if values:
            self._put(response, name, kind, values)
        elif not any(known.is_subdomain(name) for known, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    def _put(
        self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType, values: list[str]
    ) -> None:
        response.answer.append(dns.rrset.from_text_list(name, 60, dns.rdataclass.IN, kind, values))

    def _forged_id(self, query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.id = (query.id + 1) & 0xFFFF
        self._put(response, query.question[0].name, dns.rdatatype.A, ["127.0.0.66"])
        return response.to_wire()

    def _forged_question(self, query: dns.message.Message) -> bytes:
        other = dns.message.make_query("other.test.", query.question[0].rdtype, id=query.id)
        response = dns.message.make_response(other)
        self._put(response, dns.name.from_text("other.test."), dns.rdatatype.A, ["127.0.0.66"])
        return response.to_wire()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2))
                for packet in self.answers(await reader.readexactly(length), over_tcp=True):
                    writer.write(len(packet).to_bytes(2) + packet)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        for packet in self._server.answers(data, over_tcp=False):
            self._transport.sendto(packet, address)
