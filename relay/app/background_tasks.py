"""The tasks that run beside the mail as long as the relay runs."""

from functools import partial

from relay.app.context import AppContext
from relay.app.identity_pauses import ReputationWatch
from relay.app.log_export import LogExporter
from relay.app.mail_parts import MailParts
from relay.app.maintenance import Maintenance
from relay.app.measurements import Measurements
from relay.app.nightly_audit import NightlyAudit
from relay.app.search_index import SearchIndexer
from relay.app.supervisor import Supervisor
from relay.app.tallies import TallyWriter
from relay.webhooks.service import Webhooks


def start_background_tasks(context: AppContext, mail: MailParts, webhooks: Webhooks, tallies: TallyWriter) -> None:
    """Start the supervised tasks. They end with the relay."""
    supervisor = Supervisor(context.log)
    context.stack.push_async_callback(supervisor.stop)
    _keep_mail_tasks(supervisor, context, mail)
    _keep_own_tasks(supervisor, context, mail)
    supervisor.keep("webhooks", webhooks.run)
    supervisor.keep("tallies", tallies.run)
    if context.settings().log.otlp_url:
        supervisor.keep("log export", _log_exporter(context).run)


def _log_exporter(context: AppContext) -> LogExporter:
    """Return the exporter, which gets the lines of the log from now on."""
    settings, log = context.settings(), context.observer.log
    headers = {name: one.get_secret_value() for name, one in settings.log.otlp_headers.items()}
    exporter = LogExporter(settings.log.otlp_url, headers, settings.server.hostname, log, context.clock)
    log.export = exporter.add
    return exporter


def _keep_mail_tasks(supervisor: Supervisor, context: AppContext, mail: MailParts) -> None:
    """Start the tasks that decide when and how mail leaves, and fetch mail."""
    outbound, inbound = mail.outbound, mail.inbound
    supervisor.keep("oauth", outbound.oauth.run)
    supervisor.keep("imap", inbound.poller.run)
    supervisor.keep("reputation", _reputation(context, mail).run)
    supervisor.keep("pauses", outbound.runner.shared_pauses.keep_fresh)
    supervisor.keep("mail exchangers", inbound.exchangers.run)
    supervisor.keep("site rates", outbound.runner.shared_rates.keep_fresh)
    supervisor.keep("earlier slots", outbound.advancer.run)


def _keep_own_tasks(supervisor: Supervisor, context: AppContext, mail: MailParts) -> None:
    """Start the tasks that look after the relay itself, and after those who may use it."""
    store, observer, outbound = context.store, context.observer, mail.outbound
    measurements = Measurements(
        context.settings,
        store.queue,
        store.limits,
        observer.metrics,
        context.clock,
        sites=outbound.explainer.sites,
        paused=outbound.runner.shared_pauses.lanes,
        domains=outbound.signing.watch.watched,
    )
    maintenance = Maintenance(context.settings, store, observer, context.clock, measurements)
    audit = NightlyAudit(context.settings, store.audits, store.nodes, observer, context.clock)
    supervisor.keep("housekeeping", maintenance.run)
    supervisor.keep("audit", audit.run)
    supervisor.keep("search index", SearchIndexer(store.searches, store.nodes, observer, context.clock).run)
    supervisor.keep("domain watch", outbound.signing.watch.run)
    supervisor.keep("credentials", partial(mail.submission.credential_keys.keep_fresh, observer.store_trouble))
    supervisor.keep("certificates", mail.listeners.certificates.run)
    if context.settings().tracker.guard:
        supervisor.keep("tracking guard", outbound.monitor.run)
    supervisor.keep("alerts", outbound.alerts.run)
    supervisor.keep("codes of the page", mail.inbound.owner_verification.run)
    supervisor.keep("verified senders", mail.submission.proven.keep_fresh)


def _reputation(context: AppContext, mail: MailParts) -> ReputationWatch:
    return ReputationWatch(
        context.settings,
        context.observer.outcomes,
        context.store.outcomes,
        mail.outbound.identity_pauses,
        context.observer,
        context.clock,
    )
