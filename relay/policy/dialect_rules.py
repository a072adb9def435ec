"""Which vendor header fields are read from the mail of a session, and which of them leave with it. Pure."""

from dataclasses import replace

from relay.config.senders import Tracking
from relay.config.settings import Settings
from relay.mail.control_headers import UNKNOWN
from relay.mail.dialects.field_values import DialectContext
from relay.mail.dialects.table import DialectRules
from relay.mail.instructions import Ignored, Instructions
from relay.mail.transaction import Envelope, Session
from relay.render.message_policy import MessagePolicy


def dialect_rules(settings: Settings, credential: str) -> DialectRules:
    """Return what is read from mail of this credential, "" for none."""
    found = settings.credentials.get(credential)
    dialects = (found.headers if found else ()) or settings.compat.headers
    return DialectRules(dialects, settings.compat.metadata_fields)


def dialect_context(
    settings: Settings, session: Session, envelope: Envelope, content: bytes, now: float
) -> DialectContext:
    """Return what the fields of this message can refer to. A client trusted by its network may bypass no lists."""
    found = settings.credentials.get(session.credential)
    compat = settings.compat
    return DialectContext(
        addresses=tuple([one.address for one in envelope.recipients]),
        content=content,
        now=now,
        groups=compat.sendgrid.groups,
        streams=compat.postmark.streams,
        pools=compat.pools.keys(),
        may_bypass_lists=found is not None and found.may_bypass_lists,
    )


def ignored_requests(asked: Instructions, switches: Tracking) -> tuple[str, ...]:
    """Return what an application asks for and does not get, with the reasons: also tracking that its domain has off."""
    ignored = [said.field if said.content == Ignored(UNKNOWN) else str(said) for said in asked.ignored]
    if asked.dialects and asked.opens and not switches.opens:
        ignored.append("opens: not tracked for this domain")
    if asked.dialects and asked.clicks in ("html", "all") and not switches.clicks:
        ignored.append("clicks: not tracked for this domain")
    return tuple(ignored)


def policy_at(settings: Settings, policy: MessagePolicy, provider: str) -> MessagePolicy:
    """Return the policy for mail that leaves by this provider: it may keep the fields that the provider reads."""
    upstream = settings.provider(provider) if policy.dialects else None
    kept = upstream.keeps_headers if upstream else ()
    return replace(policy, dialects=tuple(one for one in policy.dialects if one not in kept)) if kept else policy
