"""The side of mail that comes in: from applications, and back from the world."""

import asyncio
import ssl

from relay.app.context import Frame
from relay.app.outbound_side import Outgoing
from relay.config.settings import Listener
from relay.inbound.handler import CopyDoor, InboundDoor
from relay.inbound.process import Intake
from relay.mail.transaction import ListenerKind
from relay.smtp.service import Resources
from relay.smtp_in import SmtpServer, tls_context
from relay.storage.domains import DomainWatchTable
from relay.storage.verifications import VerificationTable
from relay.submission.accept import Accept, Door, Reception
from relay.verification.context import Tools as VerificationTools
from relay.verification.context import submitting
from relay.verification.copies import Copies
from relay.verification.verifier import Proven, Verifier

DRAIN = 10.0
"""Seconds of the stop for mail coming in, which its sender still has; mail going out would be delivered twice."""


class Incoming:
    """What takes mail: the doors, and the listeners in front of them."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.servers: dict[str, SmtpServer] = {}
        self._verifications = VerificationTable(frame.store)
        sources = (self._verifications.proven, DomainWatchTable(frame.store).verified_domains)
        self._proven = Proven(sources, frame.observer.store_trouble)

    async def start_verification(self) -> None:
        """Learn which senders are verified, and keep knowing it."""
        await self._proven.load()
        keeping = asyncio.create_task(self._proven.keep_fresh(), name="proven")
        self._frame.stack.callback(keeping.cancel)

    def open_doors(self, outgoing: Outgoing) -> None:
        """Make what decides about mail, whichever way it comes."""
        frame = self._frame
        self.accept = Accept(
            frame.settings,
            frame.store,
            frame.store,
            outgoing.exclusion,
            frame.clock,
            frame.new_id,
            frame.observer.publish,
            outgoing.runner.wake,
            self._proven,
        )
        tools = VerificationTools(
            settings=frame.settings,
            keyring=outgoing.keyring,
            store=self._verifications,
            stories=frame.store,
            resolver=frame.new_resolver,
            forget_dns=outgoing.resolver.forget,
            clock=frame.clock,
            new_id=frame.new_id,
            submit=submitting(self.accept),
        )
        self.verifier = Verifier(tools, self._proven, frame.log)
        self.intake = Intake(
            settings=frame.settings,
            keyring=outgoing.keyring,
            judge=frame.judge,
            store=frame.store,
            clock=frame.clock,
            new_id=frame.new_id,
            publish=frame.observer.publish,
            wake=outgoing.runner.wake,
            log=frame.log,
        )
        self._doors = self._make_doors(outgoing)

    def _make_doors(self, outgoing: Outgoing) -> dict[ListenerKind, Door]:
        frame = self._frame
        copies = Copies(self._verifications, frame.new_resolver, lambda: frame.settings().server.hostname, frame.clock)
        inbound = InboundDoor(frame.settings, outgoing.keyring, frame.clock, self.intake)
        return {"submission": self.accept, "inbound": CopyDoor(outgoing.keyring, copies, inbound)}

    async def listen(self) -> None:
        """Open the listeners."""
        settings = self._frame.settings()
        resources = Resources(settings.server.data_dir)
        self._frame.stack.push_async_callback(self._stop)
        for listener in settings.listeners:
            self.servers[listener.name] = self._server(listener, resources)
        for server in self.servers.values():
            await server.start()

    def _server(self, listener: Listener, resources: Resources) -> SmtpServer:
        frame = self._frame
        reception = Reception(frame.settings, self._doors, frame.observer.store_trouble)
        context: ssl.SSLContext | None = None
        if listener.tls != "none" and listener.certificate:
            context = tls_context(listener.certificate, listener.key)
        return SmtpServer(listener, frame.settings, reception, context, frame.observer.smtp, resources=resources)

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop(DRAIN) for server in self.servers.values()))
