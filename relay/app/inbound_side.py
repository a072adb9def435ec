"""Builds the SMTP listeners, the submission and inbound handlers, and verification."""

import asyncio
import ssl
from typing import assert_never

from relay.app.context import AppContext
from relay.app.outbound_side import OutboundSide
from relay.config.settings import Listener
from relay.domains.mail_exchanger import MailExchangers
from relay.inbound.handler import InboundHandler
from relay.inbound.process import InboundProcessor
from relay.mail.transaction import ListenerKind
from relay.smtp.service import MessageHandler, ServerResources
from relay.smtp_in import SmtpServer, tls_context
from relay.submission.accept import SubmissionHandler
from relay.verification.context import Tools as VerificationTools
from relay.verification.context import submit_as
from relay.verification.copies import ReceivedCopies
from relay.verification.verifier import VerifiedSenders, Verifier

DRAIN = 10.0
"""Seconds that open transactions have when the relay stops. A client whose transaction is aborted sends it again."""


class InboundSide:
    """The listeners and the handlers of their mail."""

    def __init__(self, frame: AppContext) -> None:
        self._frame = frame
        self.servers: dict[str, SmtpServer] = {}
        sources = (frame.store.verifications.proven, frame.store.domains.verified_domains)
        self.exchangers = MailExchangers(frame.settings, frame.new_resolver)
        self._proven = VerifiedSenders(sources, frame.observer.store_trouble)

    async def start_verification(self) -> None:
        """Load the verified senders, and refresh them in the background."""
        await self._proven.load()
        refresh = asyncio.create_task(self._proven.keep_fresh(), name="proven")
        self._frame.stack.callback(refresh.cancel)

    def build_handlers(self, outgoing: OutboundSide) -> None:
        """Build the handlers of the listeners, and verification."""
        frame = self._frame
        self.submission = SubmissionHandler(
            settings=frame.settings,
            store=frame.store.queue,
            limits=frame.store.limits,
            exclusion=outgoing.exclusion,
            clock=frame.clock,
            new_id=frame.new_id,
            publish=frame.observer.publish,
            wake=outgoing.runner.wake,
            is_proven=self._proven,
        )
        tools = VerificationTools(
            settings=frame.settings,
            keyring=outgoing.keyring,
            store=frame.store.verifications,
            stories=frame.store.reports,
            resolver=frame.new_resolver,
            forget_dns=outgoing.resolver.forget,
            clock=frame.clock,
            new_id=frame.new_id,
            submit=submit_as(self.submission),
        )
        self.verifier = Verifier(tools, self._proven, frame.log)
        self.intake = InboundProcessor(
            settings=frame.settings,
            keyring=outgoing.keyring,
            bounce_policy=frame.bounce_policy,
            queue=frame.store.queue,
            stories=frame.store.reports,
            returned=frame.store.events,
            unsubscribes=frame.store.unsubscribes,
            exchanger_of=self.exchangers,
            resolver=lambda: outgoing.resolver,
            clock=frame.clock,
            new_id=frame.new_id,
            publish=frame.observer.publish,
            wake=outgoing.runner.wake,
            log=frame.log,
        )
        self.inbound = InboundHandler(
            settings=frame.settings,
            keyring=outgoing.keyring,
            clock=frame.clock,
            processor=self.intake,
            copies=ReceivedCopies(
                frame.store.verifications, frame.new_resolver, lambda: frame.settings().server.hostname, frame.clock
            ),
        )

    async def listen(self) -> None:
        """Open the listeners."""
        settings = self._frame.settings()
        resources = ServerResources(settings.server.data_dir)
        self._frame.stack.push_async_callback(self._stop)
        await self.exchangers.refresh_soon()
        for listener in settings.listeners:
            self.servers[listener.name] = self._server(listener, resources)
        for server in self.servers.values():
            await server.start()

    def _server(self, listener: Listener, resources: ServerResources) -> SmtpServer:
        frame = self._frame
        context: ssl.SSLContext | None = None
        if listener.tls != "none" and listener.certificate:
            context = tls_context(listener.certificate, listener.key)
        return SmtpServer(
            listener,
            frame.settings,
            self._handler(listener.kind),
            ssl_context=context,
            log=frame.observer.smtp,
            on_store_error=frame.observer.store_trouble,
            resources=resources,
        )

    def _handler(self, kind: ListenerKind) -> MessageHandler:
        match kind:
            case "submission":
                return self.submission
            case "inbound":
                return self.inbound
            case _:
                assert_never(kind)

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop(DRAIN) for server in self.servers.values()))
