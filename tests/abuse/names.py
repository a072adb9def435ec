"""Names for a relay whose address guard is shut: notices to app.test reach the sink, all else is as the suite answers.

The suite looks for notices at the sink on 127.0.0.1, where the guard lets nothing go. So app.test gets an address of
its own, the only one allowed, and whatever is said there is passed on to the sink.
"""

import asyncio
import socket

import dns.message
import dns.rdatatype
import dns.rrset

NOTICES_DOMAIN = "app.test."

NOTICES_ADDRESS = "127.0.0.77"

_BIGGEST = 65535


def answer_notices(port: int, suite_port: int) -> None:
    """Answer for app.test on this UDP port of loopback, and hand every other question to the suite's name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        while True:
            wire, client = server.recvfrom(_BIGGEST)
            query = dns.message.from_wire(wire)
            if query.question[0].name.to_text().lower() == NOTICES_DOMAIN:
                server.sendto(_own(query), client)
                continue
            # One socket a question: an answer that comes late must not be taken for that to another.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(0.5)
                asking.sendto(wire, ("127.0.0.1", suite_port))
                try:
                    server.sendto(asking.recv(_BIGGEST), client)
                except OSError:
                    continue  # The suite keeps silent on purpose, and so do we.


def _own(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    question = query.question[0]
    if question.rdtype == dns.rdatatype.A:
        response.answer.append(dns.rrset.from_text(question.name, 30, "IN", "A", NOTICES_ADDRESS))
    return response.to_wire()


def pass_on_notices(port: int) -> None:
    """Take connections to the address of app.test and pass them on to the sink on the same port of 127.0.0.1."""
    asyncio.run(_pass_on(port))


async def _pass_on(port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    server = await asyncio.start_server(serve, NOTICES_ADDRESS, port)
    await server.serve_forever()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while octets := await reader.read(_BIGGEST):
            writer.write(octets)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
