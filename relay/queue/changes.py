"""Changes of entries by operators, as values."""

from collections.abc import Callable, Sequence

from relay.events.event import Event
from relay.queue.entry import Entry
from relay.queue.message import Message, NewMessage

EntryChange = Callable[[Message, Entry], tuple[Entry, Sequence[Event]] | None]
"""A pure change by an operator: the new entry with its events, or None for no change."""

Changed = Sequence[tuple[Message, Entry]]

ReportsOf = Callable[[Changed, Callable[[str], bytes]], Sequence[NewMessage]]
"""Composes notifications about changed entries. The second argument returns a content by queue id, "" if it is gone."""
