"""The services beside mail: webhooks, tracker, admin API, console, reload and background tasks.

They start after the listeners of mail. Their modules, above all those of HTTP, take as long to import as all others.
`relay.app.relay` imports this one when mail is accepted already (decision 0064).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from relay.app.background_tasks import start_background_tasks
from relay.app.compiled_code import NATIVE_FAULTS, REWRITER
from relay.app.configuration import Configuration
from relay.app.context import AppContext
from relay.app.http_servers import HttpServers
from relay.app.http_sockets import HttpSockets
from relay.app.local_nodes import LocalNodes, local_nodes
from relay.app.mail_parts import MailParts
from relay.app.node_answers import NodeAnswers
from relay.app.reloader import Reloader
from relay.app.table_editor import open_table_editor
from relay.app.tallies import TallyWriter
from relay.app.webhooks import open_webhooks
from relay.events.sink import EventSink
from relay.http_tracker import Tracker
from relay.webhooks.service import Webhooks


class RelayControl(Protocol):
    """What the HTTP servers show of the relay, and change."""

    @property
    def configuration(self) -> Configuration:
        """Settings and rules in force."""

    def checks(self) -> Mapping[str, bool]:
        """Return the health by part."""

    def readiness(self) -> Mapping[str, bool]:
        """Return whether new mail can be accepted, by part."""

    async def status(self) -> Mapping[str, object]:
        """Return the status of this node."""

    async def reload(self) -> Mapping[str, object]:
        """Use the files of the configuration."""

    async def shown_configuration(self) -> Mapping[str, object]:
        """Return the settings in force."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services, with the parts of the mail that they show and change."""

    context: AppContext
    mail: MailParts
    sink: EventSink
    webhooks: Webhooks
    http: HttpServers
    reloader: Reloader
    others: LocalNodes | None
    """The other nodes of this machine, if this is the first of several."""
    rewriter: str = REWRITER
    native_faults: Sequence[str] = tuple(NATIVE_FAULTS)
    """Why compiled code is not used. Looked up late: the compiled rewriter loads its Python twin."""

    async def start(self) -> Tracker | None:
        """Start the HTTP servers, and return the tracker."""
        tracker = await self.http.start_tracker(self.sink)
        self.mail.outbound.simulation.opened.set()
        if self.context.settings().tracker.guard:
            await self.mail.outbound.monitor.start()
        await self.http.start_admin()
        return tracker

    def start_tasks(self, context: AppContext, tallies: TallyWriter) -> None:
        """Start the tasks that run beside the mail."""
        start_background_tasks(context, self.mail, self.webhooks, tallies)


def build_services(
    answers: RelayControl,
    context: AppContext,
    mail: MailParts,
    sink: EventSink,
    sockets: HttpSockets,
    *,
    stack: AsyncExitStack,
    node: int,
    exposition: Callable[[], bytes],
) -> Services:
    """Return the services. `stack` closes what they open. `node` is the number of one of several nodes, else 0."""
    context = replace(context, stack=stack)
    webhooks = open_webhooks(context)
    others = local_nodes(context.settings(), node)
    nodes = NodeAnswers(others, answers.reload, answers.status, exposition)
    http = HttpServers(
        context,
        mail,
        webhooks,
        sockets,
        checks=answers.checks,
        readiness=answers.readiness,
        status=nodes.status,
        reload=nodes.reload,
        configuration=answers.shown_configuration,
        exposition=nodes.exposition,
        restart_needed=lambda: answers.configuration.restart_needed,
        editor=open_table_editor(context, mail.outbound, answers.configuration.path, nodes.reload, others),
    )
    reloader = Reloader(
        context=context,
        configuration=answers.configuration,
        mail=mail,
        webhooks=webhooks,
        resume_changed=http.provider_routes().resume_changed,
    )
    return Services(context, mail, sink, webhooks, http, reloader, others)
