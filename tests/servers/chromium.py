"""Headless Chromium, steered by its DevTools protocol: pages as people see and use them."""

import asyncio
import shutil
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

STARTING = 30.0
"""Seconds the browser has to start."""


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
        self._profile = tempfile.TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True)
        self._ids = count(1)
        self.complaints: list[str] = []
        """What the page's console and the browser's security had to say."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            chromium(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={self._profile.name}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._client = aiohttp.ClientSession()
        try:
            port = await self._port()
            async with self._client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                (tab,) = [one for one in await answer.json() if one["type"] == "page"]
            self._socket = await self._client.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=1 << 26)
            await self._prepare()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._profile.cleanup()

    async def _port(self) -> str:
        file = Path(self._profile.name) / "DevToolsActivePort"
        async with asyncio.timeout(STARTING):
            while not (file.exists() and file.read_text().strip()):
                await asyncio.sleep(0.05)
        return file.read_text().split()[0]

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
        async with asyncio.timeout(20):
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
