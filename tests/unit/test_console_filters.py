"""Filters of the bounces and of the queue, and the cost of the page of a message with many recipients."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from unittest.mock import Mock

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from relay.console.bounces import BouncePages
from relay.console.layout import Layout
from relay.console.message_rows import message_row
from relay.console.queue import MAX_LANES, PAGE, QueuePages
from relay.console.queue_state import QueueState
from relay.events.event import Event, Kind
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.queue.ports import EntryQuery
from relay.queue.routing import LanePause
from relay.queue.wait_reasons import Reason
from relay.reports.ports import Story
from relay.reports.sites import SiteReport
from tests.unit.test_console_timeline import ENTRY, MESSAGE, NOW


def request(target: str) -> web.Request:
    return make_mocked_request("GET", target)


class Lanes:
    """A queue with one entry in each lane."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def entries(self, query: EntryQuery) -> Sequence[tuple[Message, Entry]]:
        self.asked.append(query.lane)
        return [(MESSAGE, replace(ENTRY, lane=query.lane))]


async def test_the_file_of_a_site_has_all_its_lanes() -> None:
    lanes = [f"mx:{number:03}.test" for number in range(2 * MAX_LANES)]
    site = SiteReport("big", 0, False, None, None, len(lanes), lanes, NOW)
    state = QueueState(NOW, (), {}, (site,))

    async def queue() -> QueueState:
        return state

    def explain(message: Message, entry: Entry) -> Sequence[Reason]:
        return ()

    def paused() -> dict[str, LanePause]:
        return {}

    store = Lanes()
    pages = QueuePages(
        layout=Mock(spec_set=Layout),
        settings=Mock(),
        queue=queue,  # type: ignore[arg-type]
        entries=store,  # type: ignore[arg-type]
        explain=explain,
        lanes=paused,
        clock=lambda: NOW,
    )
    found = [row async for page in pages._all(request("/queue.csv?site=big"), state) for row in page]
    assert len(found) == len(lanes) > PAGE
    assert store.asked == lanes
    assert pages.lanes_left(request("/queue?site=big"), state) == MAX_LANES
    assert pages.lanes_left(request("/queue?q=u@x.test"), state) == 0


async def test_figures_and_file_of_an_identity_are_about_the_same_mail() -> None:
    asked: list[object] = []

    class Tallies:
        async def sums(self, *values: object) -> Sequence[object]:
            asked.append(values[3])
            return ()

    layout = Mock(spec_set=Layout)
    pages = BouncePages(
        layout=layout,
        settings=Mock(return_value=Mock(domains={}, identities={})),
        tallies=Tallies(),  # type: ignore[arg-type]
        reports=Mock(),
        rules=Mock(),
        clock=lambda: NOW,
    )
    await pages.show(request("/bounces?identity=jane@acme.test&domain=other.test"))
    assert asked == [("jane@acme.test",)]
    assert layout.page.call_args.kwargs["export"] == "/bounces.csv?identity=jane%40acme.test"
    assert layout.page.call_args.kwargs["filters"]["domain"] == ""


class Counted(tuple[Event, ...]):
    """Events that count how often they are read from end to end."""

    passes = 0

    def __iter__(self) -> Iterator[Event]:
        type(self).passes += 1
        return super().__iter__()

    def __reversed__(self) -> Iterator[Event]:
        type(self).passes += 1
        return iter(self[::-1])


def test_the_row_of_a_message_reads_its_events_a_few_times_for_any_number_of_recipients() -> None:
    entries = tuple(replace(ENTRY, number=number, state=ENTRY.state) for number in range(300))
    bounced = [Event(Kind.DEFERRED, NOW, MESSAGE.queue_id, one.number, one.recipient, {}) for one in entries]
    message_row(Story(MESSAGE, entries, Counted(bounced)))
    assert Counted.passes <= 4
