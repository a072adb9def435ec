"""The renderer that renders in its own process: for `render.workers = 0` and for commands."""

from collections.abc import Sequence
from dataclasses import replace

from relay.render.message import Rendering, RenderInput
from relay.render.render import render
from relay.render.renderer import ContentFiles, MonitoredRenderer


class InlineRenderer(MonitoredRenderer):
    """Renders in this process."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def _render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        return render(message, recipients, self._keys, eight_bit=eight_bit)

    async def _render_file(
        self, message: RenderInput, recipient: int, files: ContentFiles, *, eight_bit: bool
    ) -> Rendering:
        whole = replace(message, content=files.source.read())
        (rendering,) = render(whole, [recipient], self._keys, eight_bit=eight_bit)
        files.target.write(rendering.content)
        return replace(rendering, content=b"")
