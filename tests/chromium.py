"""A real browser for tests: headless Chromium, spoken to over its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
import trio_websocket

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER: Final = next(filter(None, map(shutil.which, _NAMES)), None)

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium: apt-get install chromium, or put one on the PATH"
)

#: How long anything in the browser may take that has hung, in seconds.
_HUNG: Final = 60


@attrs.define(eq=False)
class Tab:
    """One tab. What goes wrong in its pages is in `faults`."""

    _socket: trio_websocket.WebSocketConnection
    faults: list[str] = attrs.field(factory=list, init=False)
    _sent: int = attrs.field(default=0, init=False)

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser to do something; return what it says."""
        self._sent += 1
        request = {"id": self._sent, "method": method, "params": parameters}
        with trio.fail_after(_HUNG):
            await self._socket.send_message(json.dumps(request))
            while True:
                message = json.loads(await self._socket.get_message())
                self._note(message)
                if message.get("id") == self._sent:
                    assert "error" not in message, message
                    return dict(message["result"])

    async def value(self, script: str) -> Any:
        """Return the value of *script*."""
        done = await self.do("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def wait_for(self, script: str) -> None:
        """Wait until *script* is true."""
        with trio.fail_after(_HUNG):
            while True:
                if await self.value(script):
                    return
                await trio.sleep(0.05)

    async def picture(self, *, dark: bool = False) -> bytes:
        """Return what it looks like, as PNG."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.do("Emulation.setEmulatedMedia", features=[scheme])
        shot = await self.do("Page.captureScreenshot")
        return base64.b64decode(shot["data"])

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.faults.append(str(told["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.faults.append(str(told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.faults.append(str(told["entry"]))


def browse(path: Path, *options: str) -> str:
    """Open the page, and return what the browser prints."""
    command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", *options]
    profile = f"--user-data-dir={path.parent / 'profile'}"
    done = subprocess.run(
        [*command, profile, "--window-size=1300,1000", path.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


@asynccontextmanager
async def open_tab(folder: Path) -> AsyncGenerator[Tab]:
    """Open a browser with one tab for the block; its profile is in *folder*."""
    profile = folder / "profile"
    command = [
        *(str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *(f"--user-data-dir={profile}", "--remote-debugging-port=0", "--window-size=1300,900"),
        "about:blank",
    ]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run, command)
        target = await _first_tab(await _port(profile / "DevToolsActivePort"))
        async with trio_websocket.open_websocket_url(target, max_message_size=2**26) as socket:
            tab = Tab(socket)
            for domain in ("Page", "Runtime", "Log"):
                await tab.do(f"{domain}.enable")
            yield tab
        nursery.cancel_scope.cancel()


async def _run(command: list[str]) -> None:
    await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)


async def _port(path: Path) -> int:
    """Return the port that the browser writes into the file when it listens."""
    with trio.fail_after(_HUNG):
        while True:
            if (port := _first_line(path)) is not None:
                return int(port)
            await trio.sleep(0.05)


def _first_line(path: Path) -> str | None:
    """Return the first line of a file; None if it is not there yet."""
    first, end, _ = path.read_text().partition("\n") if path.exists() else ("", "", "")
    return first if end else None


async def _first_tab(port: int) -> str:
    """Return the WebSocket URL of the tab."""

    def listed() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_HUNG) as reply:
            return list(json.load(reply))

    targets = await trio.to_thread.run_sync(listed)
    (target,) = (each for each in targets if each["type"] == "page")
    return str(target["webSocketDebuggerUrl"])
