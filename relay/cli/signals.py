"""The signals of a server: SIGTERM and SIGINT stop it, SIGHUP reloads its configuration, SIGUSR1 reopens its log."""

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.app.relay import App
    from relay.app.tracker import TrackerApp


class SignalHandler:
    """Handles the signals of one server, from its start on.

    The first SIGTERM or SIGINT requests a stop, the second one exits immediately. A reload that is requested during the
    start takes effect at its end, because mail is accepted before.
    """

    def __init__(self) -> None:
        self.stop_requested = asyncio.Event()
        self._app: App | TrackerApp | None = None
        self._is_started = False
        self._is_reload_due = False
        self._reloads: set[asyncio.Task[Any]] = set()

    def listen(self) -> None:
        """Handle the signals from now on. SIGUSR2 has no meaning, and must not end the server."""
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen_log)

    def use(self, app: "App | TrackerApp") -> None:
        """Use the log of an app, which starts now."""
        self._app = app

    def begin_reloads(self) -> None:
        """Reload from now on, because the app has started, and at once if that was requested before."""
        self._is_started = True
        if self._is_reload_due:
            self._reload()

    def _stop(self, number: signal.Signals) -> None:
        if self.stop_requested.is_set():
            os._exit(128 + number)
        if self._app is not None:
            self._app.log("server.stopping", signal=number.name)
        self.stop_requested.set()

    def _reopen_log(self) -> None:
        if self._app is not None:  # Else the log opens later.
            self._app.log.reopen()

    def _reload(self) -> None:
        self._reopen_log()
        if self._app is None or not self._is_started:
            self._is_reload_due = True
            return
        reload = asyncio.ensure_future(self._app.reload())
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)
