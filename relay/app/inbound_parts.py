"""Builds the parts that handle mail to the relay's own addresses, and the verification of senders."""

from dataclasses import dataclass

from relay.app.context import AppContext
from relay.app.outbound_parts import OutboundParts
from relay.app.submission_parts import SubmissionParts
from relay.domains.mail_exchanger import MailExchangers
from relay.inbound.handler import InboundHandler
from relay.inbound.imap_poller import Poller
from relay.inbound.imap_state import STATE_FILE
from relay.inbound.process import InboundProcessor
from relay.verification.context import VerificationContext, submit_as
from relay.verification.owner_verification import OwnerVerification
from relay.verification.received_copies import ReceivedCopies
from relay.verification.verifier import Verifier


@dataclass(frozen=True, slots=True)
class InboundParts:
    """The handler of received mail, and what else reads such mail or waits for it."""

    handler: InboundHandler
    exchangers: MailExchangers
    poller: Poller
    verifier: Verifier
    owner_verification: OwnerVerification


async def open_inbound_parts(context: AppContext, outbound: OutboundParts, submission: SubmissionParts) -> InboundParts:
    """Look up the mail exchangers of the domains, for three seconds at most, and build the parts."""
    exchangers = MailExchangers(context.settings, context.new_resolver)
    await exchangers.refresh_soon()
    processor = _processor(context, outbound, exchangers)
    tools = _verification_tools(context, outbound, exchangers, submission)
    verifier = Verifier(tools, submission.proven, context.log)
    return InboundParts(
        handler=_handler(context, outbound, processor),
        exchangers=exchangers,
        poller=_poller(context, outbound, processor),
        verifier=verifier,
        owner_verification=OwnerVerification(verifier, context.observer.store_trouble),
    )


def _handler(context: AppContext, outbound: OutboundParts, processor: InboundProcessor) -> InboundHandler:
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


def _poller(context: AppContext, outbound: OutboundParts, processor: InboundProcessor) -> Poller:
    return Poller(
        context.settings,
        context.settings().server.data_dir / STATE_FILE,
        processor.process,
        context.log,
        outbound.oauth,
        metrics=context.observer.metrics,
    )


def _verification_tools(
    context: AppContext, outbound: OutboundParts, exchangers: MailExchangers, submission: SubmissionParts
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
        submit=submit_as(submission.handler),
    )
