"""Names of all log lines, with their meaning, their fields and their level."""

from functools import lru_cache

LINES: dict[str, str] = {
    "server.started": "All listeners are open. listeners, tracker, version, rewriter (compiled or python).",
    "server.stale_code": "Compiled code is not used, because it was built from other sources or cannot be loaded. "
    "Its Python twins do the work; build it again (make native). reason.",
    "api.request": "A request to the HTTP API was answered. request (also in X-Request-Id), credential, client, "
    "method, path, status, seconds, traceparent if the request has one.",
    "api.failed": "Unexpected error in a request to the HTTP API; the client got 500. request (also in X-Request-Id), "
    "error.",
    "node.ended": "A node of `relay serve --nodes` ended; it starts again after wait seconds. node, code, wait.",
    "server.stopping": "SIGTERM or SIGINT: listeners close, transactions in progress end. signal.",
    "server.stopped": "Everything is closed.",
    "server.broken": "The queue runner stopped unexpectedly; the process exits so that the service manager restarts "
    "it. error.",
    "task.failed": "A background task failed; it restarts after wait seconds. task, error, wait.",
    "config.reloaded": "New settings are in force. restart_needed lists keys that need a restart, certificates the "
    "listeners with a renewed one. changed, restart_needed, certificates.",
    "config.rejected": "A reload found faults; the old settings stay in force. Correct the faults and reload. faults.",
    "server.few_files": "The process may open fewer files than the configured connections need. Raise its limit of "
    "open files (ulimit -n, LimitNOFILE). limit, needed.",
    "config.warning": "The settings are usable, but need attention. warning.",
    "tls.certificate_renewed": "A listener uses a renewed certificate. listener, file, expires_at.",
    "tls.certificate_failed": "A certificate cannot be used; the listener keeps the one it has. Correct the files. "
    "listener, error.",
    "tls.certificate_warning": "A certificate expires soon or has expired, or does not name the host; reported once a "
    "day. listener, file, text.",
    "keys.created": "A tracker key was created because none was configured. Include it in the backup. file.",
    "keys.missing": "A domain has DKIM selectors and no key; its mail is not signed. Run `relay dkim new`. domain, "
    "selector, file.",
    "domain.changed": "The DNS of a sending domain changed, or the key that signs. domain, record (empty: the whole "
    "domain), was, now, text.",
    "domain.watch_failed": "A DNS check failed or timed out; it will be retried. domain, error.",
    "tracking.down": "A base URL that worked before does not reach the tracker: mail leaves unrewritten. Check proxy "
    "and DNS. base_url, why.",
    "tracking.up": "The base URL reaches the tracker again; links are rewritten. base_url, seconds.",
    "tracking.unproven": "The base URL has never reached the tracker from this machine; links are rewritten. Check it "
    "from outside. base_url, why.",
    "keys.rotating": "A new DKIM key was created. Publish its record; it signs once DNS shows it. domain, selector, "
    "record.",
    "queue.recovered": "Entries leased by an earlier process returned to the queue, or were settled as delivered from "
    "the journal. entries, delivered.",
    "clock.set": "The system clock was stepped; queued entries keep their remaining lifetime. seconds (forward, or "
    "backward below 0).",
    "queue.journal_failing": "The delivery journal cannot be written until the next start; a crash may repeat "
    "deliveries. error.",
    "queue.advanced": "Waiting mail got earlier release times: limits were raised, or slots became free. entries.",
    "audit.done": "The nightly audit ended. accepted, delivered, bounced, dropped, waiting, held, active, leaks, "
    "seconds.",
    "audit.leak": "Entry and events of a recipient differ, or rows are missing; `relay audit` lists them. queue_id, "
    "number (null: the whole message), identity, fault.",
    "queue.purged": "Timelines older than the retention were deleted. messages.",
    "queue.settled_plainly": "The result of an attempt could not be stored as it was, for a reason of its own: the "
    "states of its entries are, without replies and evidence. queue_id, entries.",
    "queue.lease_lost": "Leases of entries ended before they were settled; another node settles them. entries.",
    "node.clock": "The clock of this node differs from that of the database by more than a second. Above 30 seconds it "
    "takes no part in deliveries while another node's clock is right. Correct it (NTP). node, ahead (seconds), "
    "delivers.",
    "node.clock_corrected": "The clock of this node agrees with that of the database again. node, ahead, delivers.",
    "node.gone": "A node missed its heartbeats; others take its leased entries over 30 seconds after the last one. "
    "node, entries.",
    "node.lease_lost": "This node renewed its lease too late; its in-flight entries may be delivered twice. node, "
    "entries.",
    "store.trouble": "The store does not answer; mail is refused with 451 or 452 until it does. Check disk or "
    "database. error, full.",
    "store.recovered": "The store answers again. seconds.",
    "store.salvaged": "The stored contents were damaged. The table contents_damaged keeps them; messages whose content "
    "was unreadable are held. Check the disk. readable, unreadable.",
    "smtp.connected": "A client connected (level debug). client, listener.",
    "smtp.refused": "A client, a command or a transaction was refused. client, listener, command, reply, "
    "reverse_path, recipient.",
    "smtp.tls_failed": "The TLS handshake of a client failed: an old protocol, a certificate that it does not trust, "
    "no TLS, or the client closed the connection. client, listener, error.",
    "proxy.refused": "A connection to a listener with proxy_protocol was closed: its peer is not in trusted_proxies, "
    "or its header is missing or malformed. client (the peer), listener, error.",
    "smtp.lost": "A client disconnected within a transaction; nothing of it was accepted. client, listener, command, "
    "reverse_path.",
    "smtp.stressed": "A listener is nearly out of connections: strangers are closed after smtp.stress_timeout, or for "
    "a new client. listener, connections.",
    "smtp.unstressed": "A listener has enough free connections again. listener, connections.",
    "smtp.accepted": "A message was accepted (level debug). client, listener, size.",
    "smtp.auth_failed": "A login failed. client, listener, credential.",
    "spam.dropped": "A message is spam by the filter: accepted, and dropped. queue_id, sender (credential or client), "
    "reverse_path, spam_score, spam_required, spam_symbols.",
    "spam.failed": "The spam filter gives no results; mail is accepted unchecked, or refused with 451 by spam.fail. "
    "error.",
    "spam.recovered": "The spam filter gives results again.",
    "smtp.failed": "Unexpected error while accepting a message; the client got 451 4.3.0 and keeps it. client, error.",
    "message.created": "The entry of a recipient is on disk. lane, reverse_path, message_id, identity, domain, size, …",
    "message.processed": "The first attempt began. lane, identity, domain.",
    "message.delivered": "The receiving server accepted the message. lane, remote, reply, attempt, delay, pixel, "
    "links, tracked, …",
    "message.deferred": "The attempt failed temporarily; it will be retried. lane, remote, reply, status, attempt, "
    "delay, next_attempt_at, category, rule, phase (connect, ehlo, starttls, auth, mail, rcpt, data).",
    "message.bounced": "The message was refused permanently, or expired. lane, remote, reply, status, attempt, delay, "
    "reason, category, rule, phase, guidance, late.",
    "message.dropped": "The message is not sent, by decision. reason.",
    "message.held": "The stored message is damaged: it is not sent, and held. Check disk and memory. reason.",
    "message.open": "The pixel was fetched. client, user_agent, machine, proxied, reason.",
    "message.click": "A link was followed. target, client, user_agent, machine, reason.",
    "message.reply": "A reply arrived. from, subject, message_id, automatic.",
    "message.unsubscribe": "The recipient unsubscribed. by, domain, campaign, client, user_agent.",
    "message.complaint": "The provider of the recipient reported a complaint. feedback_type.",
    "message.feedback": "A feedback report that is not a complaint; no address is suppressed. feedback_type "
    "(auth-failure, not-spam, opt-out, virus, other).",
    "unsubscribe.unknown": "An unsubscribe for a message that is no longer in the store: the list is unchanged. "
    "number.",
    "inbound.taken": "A returned mail was processed. kind, to, queue_id (empty: it concerns no message of this relay), "
    "not_forwarded (untied, spam).",
    "simulator.failed": "What follows a simulated mail did not happen. word, recipient, reason.",
    "imap.connected": "The bounce mailbox answers, for the first time or again. host, folder, messages.",
    "imap.failed": "The bounce mailbox or the store did not answer; the rest is read at the next interval. error.",
    "imap.renumbered": "The server renumbered the folder (UIDVALIDITY, or lower UIDs): it is read from its beginning. "
    "folder, before, now.",
    "imap.skipped": "A mail of the bounce mailbox failed too often and is skipped; it is retried each hour and after a "
    "restart. uid, folder, tries.",
    "imap.unmarked": "Processed bounces cannot be moved or flagged. They count, and stay where they are; the next "
    'interval tries again. Check rights and quota of the mailbox, or set handled = "leave". folder, error.',
    "imap.taken": "A mail of the bounce mailbox was processed. uid, kind, handled (move, flag, leave), events (number "
    "of new ones).",
    "identity.verified": "A verification step of an identity ended. identity, step, state (passed, failed, pending).",
    "identity.paused": "An identity is paused until `relay identity resume`: its mail gets 451, its queued mail waits. "
    "identity, cause (bounces, complaints, operator, application), why.",
    "identity.resumed": "The pause of an identity was ended, by an operator or its application. identity, "
    "entries (held back, due now).",
    "delivery.failed": "Unexpected error in an attempt; the message is deferred. error.",
    "delivery.paused": "A provider or destination refuses the relay, or a provider cannot be reached: its lane is "
    "paused. lane, category, reply, guidance.",
    "pause.begun": "A site, domain, sender, campaign or provider was paused: its mail is accepted, and "
    "waits. subject, until (0: until it is resumed), why.",
    "pause.ended": "Such a pause was ended, by an operator or an application. subject, entries (held back, due now).",
    "site.slowed": "A site asks to slow down: it gets fewer messages, then more until it asks again. site, rate "
    "(messages a minute), why.",
    "site.probed": "A site refuses all mail: it gets single messages until it accepts one. site, rate, why.",
    "site.recovered": "A site accepts mail again; its rate rises. site, rate, why.",
    "site.unlimited": "A site has accepted far more than when it asked to slow down: its rate has no limit any more. "
    "site, why.",
    "render.failed": "A renderer crashed, hung or ran out of memory; the message leaves unmodified. reason.",
    "render.restarting": "A renderer ended or did not start; another one starts after a pause, which grows while none "
    "answers. reason, wait (seconds).",
    "events.spooled": "The store does not accept events; they are spooled until it does. error.",
    "events.unspooled": "The events of the spool are in the store. events.",
    "events.spool_failing": "The spool file cannot be written; events wait in memory. Check the disk. error.",
    "events.spool_damaged": "A spool file had lines that are not events; they were skipped. It is kept as *.damaged, "
    "unless its last line was torn only. file, torn, damaged, error (of the first of them).",
    "events.spool_unreadable": "A spool file cannot be read; it is kept as *.damaged, and the files behind it are "
    "read. file, error.",
    "credential.revoked": "An operator revoked a key: no client can log in with it, its sessions end. credential, key.",
    "console.changed": "A person changed something on the console, or logged in. before and after have no secrets. "
    "person, client, action, subject, before, after.",
    "console.login_failed": "A login to the console failed, or came too soon after failures. person (empty: nobody has "
    "that address), client, why.",
    "oauth.token": "A token endpoint gave an access token. account, server, seconds (until it ends).",
    "oauth.failed": "An account gets no access token, for a reason that is new; guidance is the remedy. account, "
    "server, error, guidance.",
    "oauth.logged_in": "An operator logged in for an account. account.",
    "oauth.logged_out": "An operator deleted the login of an account. account.",
    "oauth.secret_expires": "A client secret expires soon or has expired; reported once a day. Create a new "
    "one. account, text.",
    "links.blocked": "An operator blocked a link, a URL or a host: clicks on it answer 410. block, note.",
    "links.unblocked": "An operator ended a block of links. block.",
    "links.read": "The blocked links of a tracker were read from its file; lines with a fault are left out. file, "
    "blocks, faults.",
    "links.file_unreadable": "The file of blocked links cannot be read; those read before stay in force. file, error.",
    "events.spool_irregular": "A name in the spool folder is a link, folder or pipe; it is left alone. Copy spool "
    "files there themselves. file.",
    "events.rejected": "The store cannot hold an event. It is kept in this file of the spool folder, lost if there is "
    "no file; all others are stored. queue_id, kind, file, error.",
    "events.shed": "Disk space is short: opens and clicks are not kept, readers are redirected as before. Free space, "
    "or mail will be refused. free.",
    "events.shed_ended": "There is enough disk space again; opens and clicks are kept. events (not kept), free.",
    "events.lost": "Neither store nor spool accepted events, and memory is full: the oldest were dropped. limit.",
    "events.store_faulty": "Unexpected error in the event store; events are spooled until the process is restarted. "
    "error.",
    "webhook.failing": "The receiver of a webhook failed three times in a row. Its events are kept, and one post tests "
    "it from time to time. webhook, status (0: no answer), answer.",
    "webhook.recovered": "The receiver of a webhook takes events again. webhook, seconds.",
    "webhook.paused": "Nothing is posted to a webhook until `relay webhook resume`: its receiver answered 410 or "
    "failed for give_up, or an operator paused it. webhook, why.",
    "webhook.resumed": "An operator resumed a webhook. webhook, begins (with what is kept, or now).",
    "webhook.given_up": "The receiver of a webhook refused an event for good, or failed at it too often: it is posted "
    "again by `relay webhook replay --failed` only. webhook, type, status, answer.",
    "webhook.type_stopped": "The receiver of a webhook refuses all events of a type, and takes others: the type is not "
    "posted any more. webhook, type, status, answer.",
    "webhook.lost": "Events may be missing at a webhook: they were purged before they were posted, or the database was "
    "replaced. webhook, since, why.",
    "library.message": "Log record of a third-party library. logger, message, traceback.",
    "log.reopened": "The log file was opened anew, after SIGHUP or SIGUSR1. file.",
    "log.reopen_failed": "The log file cannot be opened anew; lines go to the one that is open. Correct its path or "
    "rights, then send SIGUSR1. file, error.",
    "log.export_failing": "The collector of log.otlp_url refuses lines, or cannot be reached. Refused lines are lost; "
    "of others the newest 20,000 wait. Check the URL and the collector. error.",
    "log.export_recovered": "The collector takes lines again. lines (that are missing there).",
    "log.lost": "The log was not writable, as on a full disk or a pipe without a reader: lines are missing here, at "
    "most this number. lines.",
}
"""All lines by name: meaning, and fields besides timestamp, level and queue_id."""

_LEVEL_OF = {
    "api.failed": "error",
    "oauth.failed": "error",
    "oauth.secret_expires": "warning",
    "smtp.connected": "debug",
    "smtp.accepted": "debug",
    "server.few_files": "warning",
    "server.stale_code": "warning",
    "node.ended": "error",
    "config.warning": "warning",
    "config.rejected": "error",
    "tls.certificate_failed": "error",
    "tls.certificate_warning": "warning",
    "server.broken": "error",
    "task.failed": "error",
    "keys.missing": "warning",
    "domain.watch_failed": "error",
    "tracking.down": "error",
    "tracking.unproven": "warning",
    "store.trouble": "error",
    "queue.journal_failing": "warning",
    "clock.set": "warning",
    "simulator.failed": "warning",
    "store.salvaged": "error",
    "smtp.stressed": "warning",
    "smtp.auth_failed": "warning",
    "console.login_failed": "warning",
    "smtp.failed": "error",
    "message.held": "error",
    "unsubscribe.unknown": "warning",
    "imap.failed": "warning",
    "imap.renumbered": "warning",
    "imap.skipped": "warning",
    "imap.unmarked": "warning",
    "identity.paused": "error",
    "spam.dropped": "warning",
    "spam.failed": "warning",
    "delivery.failed": "error",
    "delivery.paused": "error",
    "pause.begun": "warning",
    "site.slowed": "warning",
    "site.probed": "warning",
    "render.failed": "warning",
    "render.restarting": "warning",
    "audit.leak": "error",
    "queue.settled_plainly": "error",
    "queue.lease_lost": "warning",
    "node.clock": "warning",
    "node.gone": "warning",
    "node.lease_lost": "warning",
    "events.spooled": "warning",
    "events.spool_failing": "error",
    "links.file_unreadable": "error",
    "events.shed": "error",
    "events.spool_damaged": "error",
    "events.spool_unreadable": "error",
    "events.spool_irregular": "warning",
    "events.rejected": "error",
    "events.lost": "error",
    "events.store_faulty": "error",
    "webhook.failing": "error",
    "webhook.paused": "error",
    "webhook.given_up": "warning",
    "webhook.type_stopped": "warning",
    "webhook.lost": "error",
    "library.message": "warning",
    "log.reopen_failed": "error",
    "log.export_failing": "error",
    "log.lost": "error",
}


@lru_cache(maxsize=len(LINES))
def level_of(line: str) -> str:
    """Return the level of a line. Raises KeyError for an unknown line."""
    if line not in LINES:
        raise KeyError(f"no log line is called {line}")
    return _LEVEL_OF.get(line, "info")
