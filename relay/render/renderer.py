"""The interface of the renderers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from relay.content_file import ContentFile, ContentWriter
from relay.domains.relay_keys import Keys
from relay.frozen import dataclass
from relay.render.message import Rendering, RenderInput


@dataclass(frozen=True, slots=True)
class ContentFiles:
    """The stored content, and the file for the rendered one."""

    source: ContentFile
    target: ContentWriter


def never_down(_: str) -> str:
    """Return "": all base URLs are up."""
    return ""


class MonitoredRenderer(ABC):
    """The interface of the renderers. A message is rendered without tracking while its base URL is down.

    `why_down` returns the reason for a base URL, "" when its links reach the tracker. It is called at every rendering.
    """

    def __init__(self, keys: Keys, why_down: Callable[[str], str] = never_down) -> None:
        self._keys = keys
        self._why_down = why_down

    def use(self, keys: Keys) -> None:
        """Replace the keys, from the next message on."""
        self._keys = keys

    def render(
        self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool
    ) -> Coroutine[Any, Any, Sequence[Rendering]]:
        """Return one rendering for each recipient (number of an entry)."""
        why = self._reason_down(message)
        if not why:
            return self._render(message, recipients, eight_bit=eight_bit)
        return self._render_plain(message, recipients, why, eight_bit=eight_bit)

    async def _render_plain(
        self, message: RenderInput, recipients: Sequence[int], why: str, *, eight_bit: bool
    ) -> Sequence[Rendering]:
        plain = await self._render(message.without_tracking(), recipients, eight_bit=eight_bit)
        return [replace(one, notes=_with_skipped(one.notes, why)) for one in plain]

    async def render_file(
        self, message: RenderInput, recipient: int, files: ContentFiles, *, eight_bit: bool
    ) -> Rendering:
        """Render the content of a file into another one. The contents of `message` and of the result are empty."""
        why = self._reason_down(message)
        if not why:
            return await self._render_file(message, recipient, files, eight_bit=eight_bit)
        plain = await self._render_file(message.without_tracking(), recipient, files, eight_bit=eight_bit)
        return replace(plain, notes=_with_skipped(plain.notes, why))

    def _reason_down(self, message: RenderInput) -> str:
        """Return why the message is not tracked now, "" where its links reach the tracker or it has none."""
        tracking = message.policy.tracking
        return self._why_down(tracking.base_url) if tracking is not None else ""

    @abstractmethod
    async def start(self) -> None:
        """Start the processes, if any."""

    @abstractmethod
    async def stop(self) -> None:
        """End the processes, if any."""

    @abstractmethod
    async def _render(
        self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool
    ) -> Sequence[Rendering]: ...

    @abstractmethod
    async def _render_file(
        self, message: RenderInput, recipient: int, files: ContentFiles, *, eight_bit: bool
    ) -> Rendering: ...


def _with_skipped(notes: Mapping[str, object], why: str) -> Mapping[str, object]:
    """Return the notes of a rendering without tracking, with the reason in place of "off"."""
    kept = {key: value for key, value in notes.items() if key not in ("tracking", "skipped")}
    others = notes.get("skipped", ())
    return kept | {"skipped": [why, *(others if isinstance(others, list) else ())]}
