"""The format of SES events in SNS notifications.

SNS signs with a certificate of its own host, to which receivers pin it: no other sender can make that signature. Those
that verify the signature of SNS refuse these posts. All posts have the signature of Standard Webhooks.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from relay.events.event import Kind
from relay.webhooks.bodies import Bounced, Clicked, Complained, Engaged
from relay.webhooks.build import Record, category_of, rfc3339
from relay.webhooks.formats.post import Post, PostFormat, Sender
from relay.webhooks.formats.record_fields import attempted, drop_cause, encoded, reply_text

_EVENTS: Mapping[Kind, str] = {
    Kind.PROCESSED: "Send",
    Kind.DELIVERED: "Delivery",
    Kind.DEFERRED: "DeliveryDelay",
    Kind.BOUNCED: "Bounce",
    Kind.DROPPED: "Bounce",
    Kind.COMPLAINT: "Complaint",
    Kind.OPEN: "Open",
    Kind.CLICK: "Click",
    Kind.UNSUBSCRIBE: "Subscription",
}

_PERMANENT: Mapping[str, str] = {"bad_mailbox": "NoEmail", "suppressed": "Suppressed"}

_TRANSIENT: Mapping[str, str] = {
    "mailbox_full": "MailboxFull",
    "too_large": "MessageTooLarge",
    "content_rejected": "ContentRejected",
    "spam_content": "ContentRejected",
    "virus": "AttachmentRejected",
}

_DELAYS: Mapping[str, str] = {
    "mailbox_full": "MailboxFull",
    "spam_content": "SpamDetected",
    "network": "TransientCommunicationFailure",
    "server_error": "RecipientServerError",
    "blocked": "IPFailure",
}


def _takes(record: Record) -> bool:
    kind = record.event.kind
    return kind in _EVENTS and (kind is not Kind.DROPPED or drop_cause(record) in ("bounce", "complaint"))


def _encode(records: Sequence[Record], sender: Sender, now: float, _token: str) -> Post:
    (record,) = records
    message_id = str(uuid.UUID(bytes=blake2b(record.id.encode(), digest_size=16).digest(), version=5))
    topic = f"arn:aws:sns:relay:000000000000:{sender.name}"
    envelope = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic,
        "Message": json.dumps(_message(record, sender), ensure_ascii=False, separators=(",", ":")),
        "Timestamp": rfc3339(now),
        "SignatureVersion": "2",
        "Signature": "",
        "SigningCertURL": "",
        "UnsubscribeURL": "",
    }
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": topic,
        "x-amz-sns-subscription-arn": f"{topic}:{message_id}",
    }
    return Post(record.id, encoded(envelope), headers)


def _message(record: Record, sender: Sender) -> dict[str, Any]:
    name = _EVENTS[record.event.kind]
    key = name[0].lower() + name[1:]
    return {"eventType": name, "mail": _mail(record), key: _specific(record, sender)}


def _mail(record: Record) -> dict[str, Any]:
    data, message = record.data, record.message
    subject = [("Subject", data.subject)] if data.subject is not None else []
    fields = [("From", data.from_), ("To", data.recipient), *subject, ("Message-ID", data.message_id)]
    fields += [("X-Tag", tag) for tag in data.tags]
    fields.append(("X-Metadata", json.dumps(data.metadata)))
    common = {"from": [data.from_], "to": [data.recipient], "messageId": data.message_id}
    return {
        "timestamp": rfc3339(message.created_at),
        "messageId": record.event.queue_id,
        "source": message.reverse_path,
        "sourceArn": f"arn:aws:ses:relay:000000000000:identity/{data.domain}",
        "sendingAccountId": "000000000000",
        "destination": [data.recipient],
        "headersTruncated": False,
        "headers": [{"name": name, "value": value} for name, value in fields],
        "commonHeaders": common | ({"subject": data.subject} if data.subject is not None else {}),
        "tags": {"ses:from-domain": [data.domain], **{key: [value] for key, value in data.metadata.items()}},
    }


def _specific(record: Record, sender: Sender) -> dict[str, Any]:
    data, at, body = record.data, rfc3339(record.event.at), record.body.data
    match record.event.kind:
        case Kind.DELIVERED:
            delay = record.event.data.get("delay")
            return {
                "timestamp": at,
                "processingTimeMillis": int(delay * 1000) if isinstance(delay, int | float) else 0,
                "recipients": [data.recipient],
                "smtpResponse": reply_text(record),
                "reportingMTA": sender.hostname,
            }
        case Kind.DEFERRED:
            kind = _DELAYS.get(category_of(record.event.data).name, "General")
            return {"timestamp": at, "delayType": kind, "delayedRecipients": [_recipient(record)]}
        case Kind.BOUNCED | Kind.DROPPED:
            return {
                **_bounce(record),
                "timestamp": at,
                "feedbackId": record.id,
                "reportingMTA": f"dns; {sender.hostname}",
            }
        case Kind.COMPLAINT:
            assert isinstance(body, Complained)
            about = {"complaintSubType": None, "complaintFeedbackType": body.feedback_type, "feedbackId": record.id}
            return {"complainedRecipients": [{"emailAddress": data.recipient}], "timestamp": at, **about}
        case Kind.OPEN | Kind.CLICK:
            assert isinstance(body, Engaged)
            link = {"link": body.url, "linkTags": None} if isinstance(body, Clicked) else {}
            return {"ipAddress": body.client, "timestamp": at, "userAgent": body.user_agent, **link}
        case Kind.UNSUBSCRIBE:
            choice = {"unsubscribeAll": True, "topicSubscriptionStatus": []}
            return {
                "contactList": data.domain,
                "timestamp": at,
                "source": "UnsubscribeHeader",
                "newTopicPreferences": choice,
            }
    return {}


def _bounce(record: Record) -> dict[str, Any]:
    body = record.body.data
    if not isinstance(body, Bounced):
        suppressed = {"emailAddress": record.data.recipient, "action": "failed", "status": "5.1.1"}
        return _typed("Permanent", "OnAccountSuppressionList", {**suppressed, "diagnosticCode": "Suppressed"})
    category = category_of(record.event.data).name
    if body.bounce.class_ == "hard":
        return _typed("Permanent", _PERMANENT.get(category, "General"), _recipient(record, "failed"))
    if category == "unknown":
        return _typed("Undetermined", "Undetermined", _recipient(record, "failed"))
    return _typed("Transient", _TRANSIENT.get(category, "General"), _recipient(record, "failed"))


def _typed(kind: str, sub: str, recipient: dict[str, str]) -> dict[str, Any]:
    return {"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [recipient]}


def _recipient(record: Record, action: str = "") -> dict[str, str]:
    reply = attempted(record).reply
    about = {"emailAddress": record.data.recipient, "status": reply.status}
    return about | ({"action": action} if action else {}) | {"diagnosticCode": f"smtp; {reply_text(record)}"}


SES = PostFormat(_takes, _encode)
