"""The parts that accept, handle and send mail, as one value. Adds those of inbound mail to those of submission."""

from dataclasses import dataclass

from relay.app.context import AppContext
from relay.app.inbound_parts import InboundParts, open_inbound_parts
from relay.app.outbound_parts import OutboundParts
from relay.app.smtp_listeners import SmtpListeners
from relay.app.submission_parts import SubmissionParts


@dataclass(frozen=True, slots=True)
class MailParts:
    """The parts of the mail, and the listeners of submission and of inbound mail."""

    listeners: SmtpListeners
    submission: SubmissionParts
    inbound: InboundParts
    outbound: OutboundParts


async def open_mail_parts(
    context: AppContext, listeners: SmtpListeners, submission: SubmissionParts, outbound: OutboundParts
) -> MailParts:
    """Open the listeners of inbound mail, and return all parts."""
    inbound = await open_inbound_parts(context, outbound, submission)
    outbound.simulation.inbound = inbound.handler
    await listeners.serve("inbound", inbound.handler)
    return MailParts(listeners, submission, inbound, outbound)
