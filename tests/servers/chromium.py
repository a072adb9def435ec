"""Headless Chromium, steered by its DevTools protocol: pages as people see and use them."""

import asyncio
import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

PATIENCE = 90.0
"""Seconds that a busy machine has for a step of the browser: its start, the load of a page."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)
"""It asks nobody but the page's own server, and its first start is like every other."""


def chromium() -> str:
    """Return the program; skip the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


_FOCUSED = "Autofocus processing was blocked"
"""No fault of a page: somebody had focused an element before the page was complete."""


class Browser:
    """A browser process, which serves all tests of this process."""

    def __init__(self, program: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="relay-chromium-"))
        profile = self._folder / "profile"
        self._process = subprocess.Popen(
            (program, *FLAGS, f"--user-data-dir={profile}", "about:blank"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # All that it writes lies in the folder, its temporary files too.
            env=os.environ | {"TMPDIR": str(self._folder)},
            start_new_session=True,
        )
        try:
            self.url = f"127.0.0.1:{self._port(profile / 'DevToolsActivePort')}"
        except BaseException:
            self._end()
            raise
        atexit.register(self._end)

    def _port(self, file: Path) -> int:
        """Return the port of the DevTools protocol, once the browser has written all of it."""
        deadline = time.monotonic() + PATIENCE
        while not (file.exists() and "\n" in file.read_text()):
            assert self._process.poll() is None, f"Chromium ended with {self._process.returncode}"
            if time.monotonic() > deadline:
                raise TimeoutError("Chromium did not start")
            time.sleep(0.05)
        return int(file.read_text().split()[0])

    def _end(self) -> None:
        """End the browser and the processes it started. One that is just ending may still add files to the folder."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while self._folder.exists():
            shutil.rmtree(self._folder, ignore_errors=True)
            time.sleep(0.05)


@cache
def browser(program: str) -> Browser:
    """Return the browser of this process."""
    return Browser(program)


class Chromium:
    """One tab with cookies and storage of its own, `width` by `height` CSS pixels, light or dark."""

    def __init__(self, *, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        self._size = (width, height)
        self._dark = dark
        self._ids = count(1)
        self.complaints: list[str] = []
        """What the page's console and the browser's security had to say."""

    async def __aenter__(self) -> Self:
        url = (await asyncio.to_thread(browser, chromium())).url
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(aiohttp.ClientSession())
            async with asyncio.timeout(PATIENCE):
                async with client.get(f"http://{url}/json/version") as answer:
                    whole = (await answer.json())["webSocketDebuggerUrl"]
                self._socket = await stack.enter_async_context(client.ws_connect(whole))
                context = (await self.call("Target.createBrowserContext", disposeOnDetach=True))["browserContextId"]
                tab = (await self.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
                page = client.ws_connect(f"ws://{url}/devtools/page/{tab}", max_msg_size=1 << 26)
                self._socket = await stack.enter_async_context(page)
            await self._prepare()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _prepare(self) -> None:
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.appear_as_at_first()

    async def appear_as_at_first(self) -> None:
        """Show the page in a window of the first size and colours."""
        await self.appear(*self._size, dark=self._dark)

    async def appear(self, width: int, height: int, *, dark: bool) -> None:
        """Show the page in a window of `width` by `height` CSS pixels, light or dark, without loading it anew."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        # Colours that fade would be looked at on their way.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme, still])

    async def call(self, method: str, *, until: str = "", **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result once it has one and the event `until` has come."""
        wanted = next(self._ids)
        await self._socket.send_json({"id": wanted, "method": method, "params": params})
        result: dict[str, Any] | None = None
        waiting = bool(until)
        async with asyncio.timeout(PATIENCE):
            while result is None or waiting:
                message = await self._socket.receive_json()
                self._listen(message)
                waiting = waiting and message.get("method") != until
                if message.get("id") == wanted:
                    assert "error" not in message, message["error"]
                    result = message["result"]
        return result

    def _listen(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Log.entryAdded":
                text = message["params"]["entry"]["text"]
                if not text.startswith(_FOCUSED):
                    self.complaints.append(text)
            case "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))

    async def go(self, url: str) -> None:
        """Load a page and wait until all of it is there."""
        await self.call("Page.navigate", url=url, until="Page.loadEventFired")

    async def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page, as the developer's console would."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def type(self, text: str) -> None:
        """Type a text into the field that has the focus."""
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, *, loads: bool = False) -> None:
        """Press a key; with `loads` wait for the page it leads to."""
        text = {"Enter": "\r", "Tab": ""}[key]
        code = {"Enter": 13, "Tab": 9}[key]
        await self.call(
            "Input.dispatchKeyEvent",
            type="keyDown",
            key=key,
            code=key,
            text=text,
            windowsVirtualKeyCode=code,
            until="Page.loadEventFired" if loads else "",
        )
        if not loads:
            await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)
