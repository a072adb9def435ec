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

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self.servers: dict[str, SmtpServer] = {}
        sources = (context.store.verifications.proven, context.store.domains.verified_domains)
        self.exchangers = MailExchangers(context.settings, context.new_resolver)
        self._proven = VerifiedSenders(sources, context.observer.store_trouble)

    async def start_verification(self) -> None:
        """Load the verified senders, and refresh them in the background."""
        await self._proven.load()
        refresh = asyncio.create_task(self._proven.keep_fresh(), name="proven")
        self._context.stack.callback(refresh.cancel)

    def build_handlers(self, outbound: OutboundSide) -> None:
        """Build the handlers of the listeners, and verification."""
        context = self._context
        self.submission = SubmissionHandler(
            settings=context.settings,
            store=context.store.queue,
            limits=context.store.limits,
            exclusion=outbound.exclusion,
            clock=context.clock,
            new_id=context.new_id,
            publish=context.observer.publish,
            wake=outbound.runner.wake,
            is_proven=self._proven,
        )

        tools = VerificationTools(
            settings=context.settings,
            keyring=outbound.keyring,
            store=context.store.verifications,
            stories=context.store.reports,
            resolver=context.new_resolver,
            exchangers=self.exchangers,
            forget_dns=outbound.resolver.forget,
            clock=context.clock,
            new_id=context.new_id,
            submit=submit_as(self.submission),
        )
        self.verifier = Verifier(tools, self._proven, context.log)

        self.processor = InboundProcessor(
            settings=context.settings,
            keyring=outbound.keyring,
            bounce_policy=context.bounce_policy,
            queue=context.store.queue,
            stories=context.store.reports,
            returned=context.store.events,
            unsubscribes=context.store.unsubscribes,
            exchanger_of=self.exchangers,
            resolver=lambda: outbound.resolver,
            clock=context.clock,
            new_id=context.new_id,
            publish=context.observer.publish,
            wake=outbound.runner.wake,
            log=context.log,
        )

        self.inbound = InboundHandler(
            settings=context.settings,
            keyring=outbound.keyring,
            clock=context.clock,
            processor=self.processor,
            copies=ReceivedCopies(
                context.store.verifications,
                context.new_resolver,
                lambda: context.settings().server.hostname,
                context.clock,
            ),
        )

    async def listen(self) -> None:
        """Open the listeners."""
        settings = self._context.settings()
        resources = ServerResources(settings.server.data_dir)
        self._context.stack.push_async_callback(self._stop)
        await self.exchangers.refresh_soon()
        for listener in settings.listeners:
            self.servers[listener.name] = self._server(listener, resources)
        for server in self.servers.values():
            await server.start()

    def _server(self, listener: Listener, resources: ServerResources) -> SmtpServer:
        context = self._context
        tls: ssl.SSLContext | None = None
        if listener.tls != "none" and listener.certificate:
            tls = tls_context(listener.certificate, listener.key)

        return SmtpServer(
            listener,
            context.settings,
            self._handler(listener.kind),
            ssl_context=tls,
            log=context.observer.smtp,
            on_store_error=context.observer.store_trouble,
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
