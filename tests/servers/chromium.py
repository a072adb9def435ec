"""Headless Chromium, steered by its DevTools protocol: pages as people see and use them."""

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import AsyncExitStack, suppress
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


class Chromium:
    """One tab of a browser of its own, `width` by `height` CSS pixels, light or dark."""

    def __init__(self, *, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        self._size = (width, height)
        self._dark = dark
        self._ids = count(1)
        self.complaints: list[str] = []
        """What the page's console and the browser's security had to say."""

    async def __aenter__(self) -> Self:
        program = chromium()
        async with AsyncExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="relay-chromium-"))
            stack.push_async_callback(_remove, folder)
            process = await _start(program, folder)
            stack.push_async_callback(_end, process)
            client = await stack.enter_async_context(aiohttp.ClientSession())
            async with asyncio.timeout(PATIENCE):
                port = await _port(process, folder / "profile")
                tab = await _tab(client, port)
                self._socket = await client.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=1 << 26)
            await self._prepare()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _prepare(self) -> None:
        width, height = self._size
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

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
                self.complaints.append(message["params"]["entry"]["text"])
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


async def _start(program: str, folder: Path) -> asyncio.subprocess.Process:
    """Start the browser; all that it writes lies in the folder, its temporary files too."""
    return await asyncio.create_subprocess_exec(
        program,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(folder)},
        start_new_session=True,
    )


async def _port(process: asyncio.subprocess.Process, profile: Path) -> int:
    """Return the port of the DevTools protocol, once the browser has written all of it."""
    file = profile / "DevToolsActivePort"
    while not (file.exists() and "\n" in file.read_text()):
        assert process.returncode is None, f"Chromium ended with {process.returncode}"
        await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])


async def _tab(client: aiohttp.ClientSession, port: int) -> dict[str, Any]:
    """Return the tab, once the browser has opened it."""
    while True:
        async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
            tabs: list[dict[str, Any]] = [one for one in await answer.json() if one["type"] == "page"]
        if tabs:
            return tabs[0]
        await asyncio.sleep(0.05)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the browser and the processes it started, which write to the profile too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _remove(folder: Path) -> None:
    """Remove the folder; a process that is just ending may still add files to it."""
    while folder.exists():
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await asyncio.sleep(0.05)
