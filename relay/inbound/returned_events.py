"""Events and evidence of returned mail. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from relay.config.settings import Settings
from relay.dsn.classify import classify_recipient
from relay.dsn.report import Recipient, Report
from relay.events.event import Event, Kind
from relay.inbound.correlate import OriginalRecipient
from relay.inbound.inbound_mail import InboundMail, may_unsubscribe
from relay.inbound.proof import Proof
from relay.inbound.replies import ReplyInfo, header_of
from relay.mail.canonical_address import canonical
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.message import owner_fields
from relay.suppression.model import COMPLAINT, Evidence, Suppression

UNPROVEN_REQUEST = "neither DKIM nor SPF proves who asks to be unsubscribed, and no signed address does"
"""Why a request to be unsubscribed is not fulfilled."""

_MAX_DIAGNOSTIC = 2000
"""Maximum characters stored of a diagnostic."""


def report_event(report: Report, about: Recipient | None) -> tuple[Kind | None, dict[str, object]]:
    """Return the kind and data of a report's event, (None, {}) if it makes none."""
    if report.kind == "complaint":
        fields = {"feedback_type": report.feedback.feedback_type if report.feedback else "abuse"}
        return (Kind.COMPLAINT if _is_complaint(report) else Kind.FEEDBACK), dict(fields)
    if about is None or about.action not in ("failed", "delayed") or report.kind not in ("bounce", "delay"):
        return None, {}
    data: dict[str, object] = {
        "late": True,
        "reply": about.diagnostic[:_MAX_DIAGNOSTIC],
        "status": about.status,
        "remote": about.remote_mta or report.reporting_mta,
    } | ({"phase": about.phase} if about.phase else {})
    return (Kind.BOUNCED if about.action == "failed" else Kind.DEFERRED), data


def _is_complaint(report: Report) -> bool:
    return report.feedback is None or report.feedback.is_complaint


def unsubscribe_event(mail: InboundMail) -> tuple[Kind, dict[str, object]]:
    """Return the kind and data of the event of a mail to an address of List-Unsubscribe, whatever it says."""
    return Kind.UNSUBSCRIBE, {"by": "mail", **header_of(mail.content, exact=True)}


def event_of(
    subject: OriginalRecipient, kind: Kind, data: Mapping[str, object], now: float, proof: Proof | None = None
) -> Event:
    """Return an event about a recipient of a stored message. A report that proves nothing has the reason."""
    message = subject.story.message
    about = {**owner_fields(message, subject.number), **data}
    if kind in (Kind.BOUNCED, Kind.COMPLAINT) and (fault := _fault(subject, proof)):
        about["unproven"] = fault
    return Event(kind, now, subject.queue_id, subject.number, subject.address, about, message.labels)


def _fault(subject: OriginalRecipient, proof: Proof | None) -> str:
    """Return why a report about this recipient proves nothing, "" if it does: the entry and the proof decide."""
    if subject.entry is None or not subject.certain:
        return "the recipient is not certain"
    if not subject.entry.may_have_arrived:
        return "the message was not sent to the recipient"
    return proof.fault if proof else ""


def reply_event(
    settings: Settings, mail: InboundMail, subject: OriginalRecipient, answer: ReplyInfo
) -> tuple[Kind, dict[str, object]]:
    """Return the kind and data of an answer's event. Unsubscribing requires a certain recipient, and its proof."""
    header = header_of(mail.content, exact=mail.is_exact)
    if answer.automatic:
        return Kind.REPLY, {"automatic": True, **header}
    if answer.request is not None and subject.certain:
        if may_unsubscribe(settings, mail):
            return Kind.UNSUBSCRIBE, {"by": "reply", **header}
        return Kind.REPLY, {"not_unsubscribed": UNPROVEN_REQUEST, **header}
    return Kind.REPLY, header


def evidence(
    policy: BouncePolicy,
    report: Report,
    subject: OriginalRecipient,
    about: Recipient | None,
    proof: Proof | None,
    now: float,
) -> tuple[Evidence, ...]:
    """Return the evidence against the recipient's address as relay wrote to it.

    The address in the report does not count: forwarding may have changed it, and anybody can write one. `proof` is None
    for mail that is no report.
    """
    entry = subject.entry
    if entry is None or about is None or proof is None or not subject.certain or not entry.may_have_arrived:
        return ()
    if subject.story.message.origin == "forward":
        return ()  # Its recipient is the reader of an identity: without mail to it, answers would be lost.

    found = replace(
        Suppression(canonical(entry.recipient), proof.scope, COMPLAINT, queue_id=subject.queue_id, created_at=now),
        reply=about.diagnostic[:_MAX_DIAGNOSTIC],
        provenance=proof.provenance,
        proof=proof.by,
    )
    if report.kind == "complaint":
        is_counted = _is_complaint(report) and not policy.words.always_answers(found.address)
        return (Evidence(found, late=True, unproven=proof.fault),) if is_counted else ()
    if report.kind != "bounce" or about.action != "failed":
        return ()

    meaning = classify_recipient(policy.rules, report, about)
    weighed = policy.evidence(
        meaning,
        replace(found, reason=meaning.category, rule=meaning.rule),
        permanent=about.status.startswith("5"),
        late=True,
    )
    return tuple(replace(one, unproven=proof.fault) for one in weighed)
