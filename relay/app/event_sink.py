"""Opens the sink of the events of readers."""

from relay.app.context import AppContext
from relay.disk_space import EventSpace
from relay.events.shedding import Shedding
from relay.events.sink import EventSink
from relay.events.spool import Spool


async def open_event_sink(context: AppContext) -> EventSink:
    """Open the event sink, which is closed with the relay."""
    settings = context.settings()
    spool = Spool(settings.server.data_dir / "spool")
    files = [settings.server.data_dir / "spool", *([settings.sqlite_path] if settings.sqlite_path else [])]
    sink = EventSink(
        context.store.events,
        spool,
        context.observer.publish,
        log=context.log,
        shedding=Shedding(EventSpace(files), context.log, context.observer.metrics.events_shed.inc),
    )
    await sink.start()
    context.stack.push_async_callback(sink.close)
    return sink
