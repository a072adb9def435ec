"""Builds what answers HTTP from the parts of a relay."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from relay.app.configuration import Configuration
from relay.app.context import AppContext
from relay.app.http_servers import HttpServers
from relay.app.local_nodes import LocalNodes
from relay.app.node_answers import NodeAnswers
from relay.app.outbound_parts import OutboundParts
from relay.app.smtp_listeners import SmtpListeners
from relay.app.table_editor import open_table_editor
from relay.webhooks.service import Webhooks

Answer = Callable[[], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What one relay answers about itself."""

    checks: Callable[[], Mapping[str, bool]]
    readiness: Callable[[], Mapping[str, bool]]
    status: Answer
    reload: Answer
    configuration: Answer


def build_http_servers(
    context: AppContext,
    outbound: OutboundParts,
    inbound: SmtpListeners,
    webhooks: Webhooks,
    own: Answers,
    *,
    configuration: Configuration,
    node: int,
) -> HttpServers:
    """Return the HTTP servers. The first of several nodes answers for those of its machine too."""
    settings = context.settings()
    others = LocalNodes(settings.server.data_dir, settings.admin.socket) if node == 1 else None
    nodes = NodeAnswers(others, own.reload, own.status, context.observer.metrics.exposition)
    return HttpServers(
        context,
        outbound,
        inbound,
        webhooks,
        checks=own.checks,
        readiness=own.readiness,
        status=nodes.status,
        reload=nodes.reload,
        configuration=own.configuration,
        exposition=nodes.exposition,
        restart_needed=lambda: configuration.restart_needed,
        editor=open_table_editor(context, outbound, configuration.path, nodes.reload),
    )
