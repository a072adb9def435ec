"""Builds the SMTP listeners, the submission and inbound handlers, and verification."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from relay.app.certificates import CertificateWatch
from relay.app.context import AppContext
from relay.app.open_files import possible_connections
from relay.app.outbound_parts import OutboundParts
from relay.config.settings import Listener
from relay.domains.mail_exchanger import MailExchangers
from relay.events.ports import StoreError
from relay.inbound.handler import InboundHandler
from relay.inbound.imap_poller import Poller
from relay.inbound.imap_state import STATE_FILE
from relay.inbound.process import InboundProcessor
from relay.mail.transaction import ListenerKind
from relay.queue.message import NewMessage
from relay.queue.sent_copies import ORIGINAL, SentCopy
from relay.smtp.context import MessageHandler, ServerResources
from relay.smtp_in import SmtpServer, tls_context
from relay.spam.filter import ConfiguredFilter
from relay.submission.accept import SubmissionHandler
from relay.submission.credential_keys import CredentialKeys
from relay.submission.idempotency import Submissions
from relay.verification.context import VerificationContext, submit_as
from relay.verification.owner_verification import OwnerVerification
from relay.verification.received_copies import ReceivedCopies
from relay.verification.verifier import VerifiedSenders, Verifier

DRAIN = 10.0
"""Seconds that open transactions have when the relay stops. A client whose transaction is aborted sends it again."""


@dataclass(frozen=True, slots=True)
class SmtpListeners:
    """The listeners and the handlers of their mail."""

    servers: Mapping[str, SmtpServer]
    submission: SubmissionHandler
    exchangers: MailExchangers
    processor: InboundProcessor
    poller: Poller
    verifier: Verifier
    certificates: CertificateWatch
    owner_verification: OwnerVerification
    credential_keys: CredentialKeys

    async def listen(self) -> None:
        """Open the listeners, when the mail exchangers of the domains are known."""
        await self.exchangers.refresh_soon()
        for server in self.servers.values():
            await server.start()

    async def stop(self) -> None:
        """Close the listeners; open transactions have DRAIN seconds."""
        await asyncio.gather(*(server.stop(DRAIN) for server in self.servers.values()))


async def open_smtp_listeners(context: AppContext, outbound: OutboundParts) -> SmtpListeners:
    """Load the verified senders, and build the listeners and their handlers. `listen` opens the listeners."""
    exchangers = MailExchangers(context.settings, context.new_resolver)
    proven = await _verified_senders(context)
    submission = _submission(context, outbound, proven)
    processor = _processor(context, outbound, exchangers)
    credential_keys = CredentialKeys(context.store.credential_keys, context.clock)
    await credential_keys.refresh()
    outbound.simulation.inbound = handler = _inbound_handler(context, outbound, processor)
    servers = _servers(context, submission, handler, credential_keys)
    certificates = CertificateWatch(
        servers,
        context.settings,
        metrics=context.observer.metrics,
        log=context.log,
        clock=context.clock,
        alert=context.alert,
    )
    verifier = Verifier(_verification_tools(context, outbound, exchangers, submission), proven, context.log)
    owner_verification = OwnerVerification(verifier, context.observer.store_trouble)
    return SmtpListeners(
        servers=servers,
        submission=submission,
        exchangers=exchangers,
        processor=processor,
        poller=_poller(context, outbound, processor),
        verifier=verifier,
        certificates=certificates,
        owner_verification=owner_verification,
        credential_keys=credential_keys,
    )


def _poller(context: AppContext, outbound: OutboundParts, processor: InboundProcessor) -> Poller:
    return Poller(
        context.settings,
        context.settings().server.data_dir / STATE_FILE,
        processor.process,
        context.log,
        outbound.oauth,
        metrics=context.observer.metrics,
    )


def _submission(context: AppContext, outbound: OutboundParts, proven: VerifiedSenders) -> SubmissionHandler:
    return SubmissionHandler(
        settings=context.settings,
        enqueue=partial(_enqueue, context, outbound),
        limits=context.store.limits,
        exclusion=outbound.exclusion,
        clock=context.clock,
        new_id=context.new_id,
        publish=context.observer.publish,
        is_proven=proven,
        identity_pause=outbound.runner.shared_pauses.identity,
        spam=ConfiguredFilter(context.settings, context.observer),
        submissions=Submissions(context.store.submissions),
    )


async def _enqueue(context: AppContext, outbound: OutboundParts, accepted: NewMessage) -> None:
    """Store a message. The original of sandbox mail is kept beside it; the message counts without it too."""
    await outbound.runner.enqueue(accepted)
    message = accepted.message
    if message.policy.sandbox:
        copy = SentCopy(message.queue_id, ORIGINAL, message.created_at, message.reverse_path, accepted.content)
        try:
            await context.store.sent_copies.keep(copy)
        except StoreError as error:
            context.observer.store_trouble(error)


def _verification_tools(
    context: AppContext, outbound: OutboundParts, exchangers: MailExchangers, submission: SubmissionHandler
) -> VerificationContext:
    return VerificationContext(
        settings=context.settings,
        keyring=outbound.signing.keyring,
        store=context.store.verifications,
        stories=context.store.reports,
        resolver=context.new_resolver,
        exchangers=exchangers,
        forget_dns=outbound.resolver.forget,
        clock=context.clock,
        new_id=context.new_id,
        submit=submit_as(submission),
    )


async def _verified_senders(context: AppContext) -> VerifiedSenders:
    """Return the verified senders as they are in the store now."""
    sources = (context.store.verifications.proven, context.store.domains.verified_domains)
    proven = VerifiedSenders(sources, context.observer.store_trouble)
    await proven.load()
    return proven


def _processor(context: AppContext, outbound: OutboundParts, exchangers: MailExchangers) -> InboundProcessor:
    return InboundProcessor(
        settings=context.settings,
        keyring=outbound.signing.keyring,
        bounce_policy=context.bounce_policy,
        queue=context.store.queue,
        quotas=context.store.quotas,
        stories=context.store.reports,
        returned=context.store.events,
        unsubscribes=context.store.unsubscribes,
        exchanger_of=exchangers,
        resolver=lambda: outbound.resolver,
        clock=context.clock,
        new_id=context.new_id,
        publish=context.observer.publish,
        wake=outbound.runner.wake,
        log=context.log,
    )


def _inbound_handler(context: AppContext, outbound: OutboundParts, processor: InboundProcessor) -> InboundHandler:
    return InboundHandler(
        settings=context.settings,
        keyring=outbound.signing.keyring,
        clock=context.clock,
        processor=processor,
        copies=ReceivedCopies(
            context.store.verifications,
            context.new_resolver,
            lambda: context.settings().server.hostname,
            context.clock,
        ),
    )


def _servers(
    context: AppContext, submission: MessageHandler, inbound: MessageHandler, keys: CredentialKeys
) -> dict[str, SmtpServer]:
    """Build the listeners, which share one set of resources."""
    settings = context.settings()
    possible = possible_connections(settings.smtp.max_connections, settings)
    resources = ServerResources(settings.server.data_dir, most_connections=possible, keys=keys)
    connections = context.observer.metrics.smtp_connections
    for listener in settings.listeners:
        connections.labels(listener.name).set_function(partial(resources.connections.count, listener.name))

    def handler(kind: ListenerKind) -> MessageHandler:
        match kind:
            case "submission":
                return submission
            case "inbound":
                return inbound
            case _:
                assert_never(kind)

    return {
        listener.name: SmtpServer(
            listener,
            context.settings,
            handler(listener.kind),
            ssl_context=_tls_context(listener),
            log=context.observer.smtp,
            on_store_error=context.observer.store_trouble,
            resources=resources,
        )
        for listener in settings.listeners
    }


def _tls_context(listener: Listener) -> ssl.SSLContext | None:
    if listener.tls == "none" or listener.certificate is None:
        return None
    return tls_context(listener.certificate, listener.key)
