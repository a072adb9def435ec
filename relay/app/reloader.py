"""Reloads the configuration of a running relay, one time after another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from relay.app.configuration import Configuration
from relay.app.context import AppContext
from relay.app.local_nodes import LocalNodes
from relay.app.mail_parts import MailParts
from relay.config import Settings
from relay.domains.key_files import load_keys
from relay.events.ports import StoreError
from relay.mailauth.dkim_keys import KeyFaultError
from relay.webhooks.service import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloader:
    """Checks the files of the configuration, and puts them in force."""

    context: AppContext
    configuration: Configuration
    mail: MailParts
    webhooks: Webhooks
    resume_changed: Callable[[Settings], Awaitable[None]]
    """Ends the pauses of providers that have other settings than these."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reload(self) -> Mapping[str, object]:
        """Check the configuration and use it. If it has faults, keep the old one and return them."""
        async with self.lock:
            return await self._reload()

    async def catch_up(self, others: LocalNodes | None) -> None:
        """Reload what was changed while this node started: a reload by another node needs an open admin socket.

        The `others` reload too: this node may have ended between a change and their reload.
        """
        if (await asyncio.to_thread(self.configuration.compare)).state == "changed":
            await self.reload()
        if others is not None:
            await others.reload()

    async def _reload(self) -> Mapping[str, object]:
        log, configuration = self.context.log, self.configuration
        found = await asyncio.to_thread(configuration.read)
        signing, errors = self.mail.outbound.signing, list(found.faults)
        keys = signing.keys
        if found.settings is not None:
            try:
                keys = await asyncio.to_thread(load_keys, configuration.after_reload(found.settings), log)
            except (KeyFaultError, OSError) as error:
                errors += str(error).splitlines()
        if found.settings is None or found.rules is None or errors:
            log("config.rejected", faults=errors)
            return {"faults": errors}

        for warning in found.warnings:
            log("config.warning", warning=warning)
        before = configuration.in_force
        changed = configuration.use(found.settings, found.rules)
        await signing.switch(configuration.in_force, keys)
        self.mail.outbound.runner.wake()
        self.mail.outbound.advancer.request()
        self.webhooks.reload()
        await self.mail.inbound.exchangers.refresh_soon()
        renewed = await self.mail.listeners.certificates.renew()

        restart = configuration.restart_needed
        log("config.reloaded", changed=changed, restart_needed=restart, certificates=renewed)
        await self._apply_to_store(before)
        return {"changed": changed, "restart_needed": restart, "certificates": renewed}

    async def _apply_to_store(self, before: Settings) -> None:
        """End suppressions and pauses by the new settings. A store that fails is reported; the next reload does it."""
        try:
            await self.context.store.suppressions.limit(self.configuration.in_force.bounces.suppression_lengths)
            await self.resume_changed(before)
        except StoreError as error:
            self.context.observer.store_trouble(error)
