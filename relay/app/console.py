"""Builds the pages of the console from the parts of the relay."""

from relay import __version__
from relay.app.context import AppContext
from relay.app.outbound_side import OutboundSide
from relay.console.message import MessagePages
from relay.console.messages import MessagesPage
from relay.console.overview import OverviewPage
from relay.console.queue_state import queue_state
from relay.console.routes import Pages
from relay.console.shell import Shell


def console_pages(context: AppContext, outbound: OutboundSide) -> Pages:
    """Return the pages."""
    store, clock, settings = context.store, context.clock, context.settings
    explainer, pauses = outbound.explainer, outbound.runner.shared_pauses
    queue = queue_state(store.queue, explainer.sites, clock)
    domains = outbound.signing.watch.watched

    async def waiting() -> int:
        return (await queue()).total

    shell = Shell(
        hostname=lambda: settings().server.hostname,
        version=__version__,
        clock=clock,
        waiting=waiting,
        domains=domains,
        pauses=pauses.lanes,
    )
    overview = OverviewPage(
        shell=shell,
        settings=settings,
        tallies=store.tallies,
        queue=queue,
        entries=store.queue,
        explain=explainer.explain,
        domains=domains,
        lanes=pauses.lanes,
        holds=pauses.holds,
        clock=clock,
    )
    context.stack.push_async_callback(queue.close)
    context.stack.push_async_callback(overview.figures.close)
    return Pages(
        shell=shell,
        overview=overview,
        messages=MessagesPage(shell=shell, stories=store.reports),
        message=MessagePages(
            shell=shell,
            stories=store.reports,
            store=store.queue,
            explain=explainer.explain,
            keyring=outbound.signing.keyring,
            retention=lambda: settings().queue.retention,
            clock=clock,
        ),
    )
