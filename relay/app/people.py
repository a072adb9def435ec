"""Builds the people of the console: their logins and the audit."""

import secrets

from relay.app.context import AppContext
from relay.app.outbound_parts import OutboundParts
from relay.people.audit_trail import AuditTrail
from relay.people.login import People


def open_people(context: AppContext, outbound: OutboundParts) -> People:
    """Return the people. Secrets of apps are sealed with the tracker keys, which all nodes have."""
    return People(
        lambda: context.settings().console,
        context.store.accounts,
        context.store.sessions,
        _audit(context),
        keys=lambda: outbound.signing.keyring().keys,
        clock=context.clock,
        random=secrets.token_bytes,
    )


def _audit(context: AppContext) -> AuditTrail:
    return AuditTrail(context.store.changes, context.log, context.clock, lambda: secrets.token_hex(12))
