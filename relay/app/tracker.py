"""The tracker without a relay, on another machine. It needs the keys and a spool folder only."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from relay.app.data_dir import prepare_data_dir
from relay.app.event_lines import log_line
from relay.app.supervisor import Supervisor
from relay.config import Settings
from relay.config.bind_addresses import bind_hosts
from relay.disk_space import EventSpace
from relay.domains.key_files import read_keyring
from relay.events.event import Event
from relay.events.shedding import Shedding
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.log import open_log
from relay.tracker.block_file import BLOCK_FILE, INTERVAL, BlockFile
from relay.tracker.link_blocks import BlockParser


class TrackerApp:
    """One running tracker. Its spool files must be moved to the spool folder of the relay, which reads them."""

    def __init__(self, settings: Settings, config: Path) -> None:
        self._settings = settings
        self._config = config
        self._stack = AsyncExitStack()
        prepare_data_dir(settings.server)
        self.log = open_log(settings.log_file, settings.log.form, settings.log.level)
        self.broken = asyncio.Event()

    async def start(self) -> None:
        """Open spool and listener. If one fails, close the other, and raise."""
        try:
            tracker = await self._open(self._settings)
        except asyncio.CancelledError:
            await self.stop()
            raise
        except BaseException:
            await self._stack.aclose()
            raise
        self.log("server.started", listeners={}, tracker=tracker.port)

    async def _open(self, settings: Settings) -> Tracker:
        keyring = read_keyring(settings, self.log)
        folder = settings.server.data_dir / "spool"
        shedding = Shedding(EventSpace([folder]), self.log)
        sink = EventSink(None, Spool(folder), self.publish, log=self.log, retry=60.0, shedding=shedding)
        await sink.start()
        self._stack.push_async_callback(sink.close)

        file = BlockFile(settings.server.data_dir / BLOCK_FILE, lambda: BlockParser(keyring), self.log)
        file.read()
        supervisor = Supervisor(self.log)
        supervisor.keep("blocked links", lambda: _follow(file))
        self._stack.push_async_callback(supervisor.stop)

        tracker = Tracker(
            lambda: keyring,
            sink,
            trusted_proxies=settings.tracker.trusted_proxies,
            proxy_protocol=settings.tracker.proxy_protocol,
            blocks=lambda: file.blocks,
            log=self.log,
        )
        await tracker.start(await listen(bind_hosts(settings, settings.tracker), settings.tracker.port))
        self._stack.push_async_callback(tracker.stop)
        return tracker

    async def stop(self) -> None:
        """Answer pending requests, write pending events, and close."""
        await self._stack.aclose()
        self.log("server.stopped")

    async def reload(self) -> Mapping[str, object]:
        """Reject the reload: a tracker reads its configuration only at the start."""
        faults = [f"{self._config}: restart `relay tracker` to use new settings"]
        self.log("config.rejected", faults=faults)
        return {"faults": faults}

    def publish(self, events: Sequence[Event]) -> None:
        """Log durable events."""
        self.log.several([log_line(event) for event in events])


async def _follow(file: BlockFile) -> None:
    """Read the file whenever it changes."""
    while True:
        await asyncio.sleep(INTERVAL)
        await asyncio.to_thread(file.read)
