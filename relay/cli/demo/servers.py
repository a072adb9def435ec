"""The DNS server and the receiving mailbox of the demo."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction

Zone = Mapping[tuple[str, str], str]
"""Record text by (name, type): {("reader.test", "MX"): "10 mx.reader.test."}."""


class NameServer(asyncio.DatagramProtocol):
    """Answers queries from a zone; other names do not exist (NXDOMAIN)."""

    def __init__(self, zone: Zone) -> None:
        self._zone = {(name.rstrip(".").lower(), kind): text for (name, kind), text in zone.items()}
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> int:
        """Listen on a free loopback port and return it."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def stop(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one query."""
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return
        if self._transport is not None:
            self._transport.sendto(self._answer(query).to_wire(), addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        question = query.question[0]
        name, kind = question.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
        if text := self._zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, text))
        elif not any(known == name for known, _ in self._zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@dataclass(slots=True)
class Mailbox:
    """Accepts all mail, except for recipients with the local part `nobody`."""

    mails: list[Transaction] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def check_mail(self, session: Session, envelope: Envelope) -> Reply | None:  # noqa: ARG002
        """Accept every reverse-path."""
        return None

    def check_recipient(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:  # noqa: ARG002
        """Refuse `nobody`; accept every other recipient."""
        if recipient.address.startswith("nobody@"):
            return Reply(550, "5.1.1", f"<{recipient.address}>: there is no such mailbox here")
        return None

    async def accept_message(self, transaction: Transaction) -> Reply:
        """Store the mail in memory."""
        self.mails.append(transaction)
        self._arrived.set()
        return Reply(250, "2.0.0", f"Ok: stored as number {len(self.mails)}")

    async def wait_for(self, count: int, seconds: float) -> bool:
        """Return True when `count` mails have arrived, False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.mails) < count:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return False
        return True
