"""Certificates of the listeners: renewed files are used by themselves, and the end of the validity is reported."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from relay.clock import Clock
from relay.config.certificates import ALERT_DAYS, Certificate, CertificateError, find_certificate_warnings
from relay.config.certificates import read_certificate as read
from relay.config.settings import Listener, Settings
from relay.log import Emit
from relay.metrics import Metrics
from relay.reports.serialize import time_json
from relay.smtp_in import SmtpServer

INTERVAL = 3600.0
"""Seconds between two checks of the files."""

RETRY_INTERVAL = 60.0
"""Seconds to the next check while files cannot be used: a renewal may have written one of two."""

REPORT_INTERVAL = 86400.0
"""Seconds between two reports about one certificate."""


class CertificateWatch:
    """Reads the certificates of these servers again, by name of the listener. `alert` sends an alert to the operator.

    A certificate that cannot be used changes nothing: the server goes on with the one it has.
    """

    def __init__(
        self,
        servers: Mapping[str, SmtpServer],
        settings: Callable[[], Settings],
        *,
        metrics: Metrics,
        log: Emit,
        clock: Clock,
        alert: Callable[[str, str, str], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._alert = alert
        self._pause = pause
        self._in_use: dict[str, Certificate] = {}
        self._errors: dict[str, str] = {}
        self._reported_at: dict[str, float] = {}

    async def run(self) -> None:
        """Check the certificates every INTERVAL seconds until cancelled."""
        while True:
            await self.renew()
            self.report(self._clock())
            await self._pause(RETRY_INTERVAL if self._errors else INTERVAL)

    async def renew(self) -> Sequence[str]:
        """Use the files as they are now for later handshakes; return the listeners whose certificate changed."""
        renewed = []
        for listener in self._settings().listeners:
            if listener.tls == "none" or listener.certificate is None:
                continue
            try:
                found = await asyncio.to_thread(read, listener.certificate, listener.key)
                before = self._in_use.get(listener.name)
                if found != before:
                    self._servers[listener.name].use_certificate(listener.certificate, listener.key, found)
                    self._in_use[listener.name] = found
                    if before is not None:
                        renewed.append(listener.name)
                        self._renewed(listener, found)
            except CertificateError as error:
                self._failed(listener, error)
            else:
                self._errors.pop(listener.name, None)
            if used := self._in_use.get(listener.name):
                self._metrics.certificate_expires.labels(listener.name).set(used.not_after)
        return renewed

    def report(self, now: float) -> None:
        """Log what is wrong with the certificates in use, once a day for each, and send alerts before they expire."""
        hostname = self._settings().server.hostname
        listeners = {one.name: one for one in self._settings().listeners}
        for name, certificate in self._in_use.items():
            applications = listeners[name].kind == "submission"
            warnings = tuple(find_certificate_warnings(certificate, hostname if applications else "", now))
            if not warnings or now - self._reported_at.get(name, -REPORT_INTERVAL) < REPORT_INTERVAL:
                continue
            self._reported_at[name] = now
            for warning in warnings:
                self._log("tls.certificate_warning", listener=name, file=str(listeners[name].certificate), text=warning)
            if certificate.days_left(now) < ALERT_DAYS:
                self._alert(*_alert(listeners[name], warnings[0]))

    def states(self, now: float) -> Sequence[Mapping[str, object]]:
        """Return listener, end of the validity and days until then of each certificate, as JSON."""
        return [
            {"listener": name, "expires_at": time_json(one.not_after), "days_left": int(one.days_left(now) // 1)}
            for name, one in self._in_use.items()
            if one.not_after != float("inf")
        ]

    def _renewed(self, listener: Listener, found: Certificate) -> None:
        self._reported_at.pop(listener.name, None)
        expires = None if found.not_after == float("inf") else time_json(found.not_after)
        self._log("tls.certificate_renewed", listener=listener.name, file=str(listener.certificate), expires_at=expires)

    def _failed(self, listener: Listener, error: CertificateError) -> None:
        """Log an error once, until it changes."""
        if self._errors.get(listener.name) != error.problem:
            self._errors[listener.name] = error.problem
            self._log("tls.certificate_failed", listener=listener.name, error=error.problem)


def _alert(listener: Listener, warning: str) -> tuple[str, str, str]:
    """Return cause, subject and text of the alert."""
    subject = f"the certificate of listener {listener.name} {warning.partition(':')[0]}"
    text = (
        f"The certificate of listener {listener.name} {warning}.\n\n"
        f"File:        {listener.certificate}\n"
        "What to do:  renew it; the relay uses new files within an hour, or at once after `relay config reload`.\n\n"
        "Applications that verify certificates stop sending when it has expired.\n"
    )
    return f"certificate {listener.name}", subject, text
