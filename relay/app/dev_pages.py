"""Builds the pages of `relay serve --dev`."""

from aiohttp import web

from relay.app.context import AppContext
from relay.app.mail_parts import MailParts
from relay.console.routes import Pages
from relay.console.templates import environment
from relay.dev.application import dev_application
from relay.dev.pages import DevLayout, DevPages


def build_dev_application(context: AppContext, mail: MailParts, console: Pages) -> web.Application:
    """Return the application at the base URL of the tracker, which is behind the pages."""
    store, settings = context.store, context.settings
    templates = environment("relay.dev")
    layout = DevLayout(
        hostname=console.layout.hostname,
        version=console.layout.version,
        clock=context.clock,
        waiting=console.layout.waiting,
        domains=console.layout.domains,
        pauses=console.layout.pauses,
        render=lambda name, values: templates.get_template(name).render(values),
    )
    pages = DevPages(
        layout=layout,
        stories=store.reports,
        copies=store.sent_copies,
        submission=mail.submission.handler,
        keys=mail.outbound.signing.in_force,
        dns=context.new_resolver,
        words=lambda: settings().simulator.words,
        clock=context.clock,
    )

    def tracker_port() -> int:
        tracker = mail.outbound.simulation.tracker
        return tracker.port if tracker else 0

    return dev_application(pages, console.messages, console.message, tracker_port)
