"""Builds the parts that accept mail of applications."""

from dataclasses import dataclass
from functools import partial

from relay.app.context import AppContext
from relay.app.outbound_parts import OutboundParts
from relay.events.ports import StoreError
from relay.queue.message import NewMessage
from relay.queue.sent_copies import ORIGINAL, SentCopy
from relay.spam.filter import ConfiguredFilter
from relay.submission.accept import SubmissionHandler
from relay.submission.credential_keys import CredentialKeys
from relay.submission.idempotency import Submissions
from relay.verification.verified_senders import VerifiedSenders


@dataclass(frozen=True, slots=True)
class SubmissionParts:
    """The handler of submitted mail, with the logins and the verified senders that it accepts."""

    handler: SubmissionHandler
    credential_keys: CredentialKeys
    proven: VerifiedSenders


async def open_submission_parts(context: AppContext, outbound: OutboundParts) -> SubmissionParts:
    """Load the logins and the verified senders, and build the handler."""
    proven = await _verified_senders(context)
    credential_keys = CredentialKeys(context.store.credential_keys, context.clock)
    await credential_keys.refresh()
    return SubmissionParts(_handler(context, outbound, proven), credential_keys, proven)


async def _verified_senders(context: AppContext) -> VerifiedSenders:
    """Return the verified senders as they are in the store now."""
    sources = (context.store.verifications.proven, context.store.domains.verified_domains)
    proven = VerifiedSenders(sources, context.observer.store_trouble)
    await proven.load()
    return proven


def _handler(context: AppContext, outbound: OutboundParts, proven: VerifiedSenders) -> SubmissionHandler:
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
