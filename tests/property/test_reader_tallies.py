"""Opens and clicks that the counter leaves out change no tally."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from relay.app import tally_counter
from relay.app.tally_counter import TallyCounter
from relay.events.event import Event, Kind
from relay.reports.tallies import Engagement, ReadMessage, engagement_of, reader_counts, stronger

_DATA: tuple[Mapping[str, object], ...] = ({}, {"machine": True}, {"proxied": True})

_EVENTS = st.builds(
    Event,
    st.sampled_from([Kind.OPEN, Kind.CLICK]),
    st.just(1000.0),
    st.sampled_from(["A", "B"]),
    st.integers(0, 2),
    data=st.sampled_from(_DATA),
)


@given(st.lists(st.lists(_EVENTS, max_size=8), max_size=6), st.sampled_from([1, 2, 50_000]))
def test_batches_add_up_to_the_strongest_action_of_each_recipient(batches: list[list[Event]], known: int) -> None:
    counter = TallyCounter()
    history: dict[tuple[str, int], Engagement] = {}
    total: Counter[str] = Counter()
    vars(tally_counter)["MAX_READERS"], usual = known, tally_counter.MAX_READERS
    try:
        for batch in batches:
            counter.count_readers(batch)
            _, actions = counter.take()
            counts = reader_counts(actions, _messages(history))
            total.update({key.kind: count for key, count in counts.items()})
            for event in batch:
                _note(history, event)
    finally:
        vars(tally_counter)["MAX_READERS"] = usual

    assert +total == _expected(history)


def _note(history: dict[tuple[str, int], Engagement], event: Event) -> None:
    key = (event.queue_id, event.number)
    history[key] = stronger(history.get(key, (0, 0)), engagement_of(event.kind, event.data))


def _messages(history: Mapping[tuple[str, int], Engagement]) -> dict[str, ReadMessage]:
    return {
        name: ReadMessage(
            "acme.test", "", frozenset(), {n: one for (queue_id, n), one in history.items() if queue_id == name}
        )
        for name in ("A", "B")
    }


def _expected(history: Mapping[tuple[str, int], Engagement]) -> Counter[str]:
    """Return each recipient once, by the strongest open and the strongest click."""
    opens = ("", "open:machine", "open:proxy", "open")
    clicks = ("", "click:machine", "click", "click")
    names = [name for one in history.values() for name in (opens[one[0]], clicks[one[1]]) if name]
    return Counter(names)
