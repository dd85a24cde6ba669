"""Headless Chromium for tests, driven through chromedriver."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from helpers.servers import free_port

KEEP = "MOBILENET_CHEST_SCREENSHOTS"
"""Names a folder that the screenshots are written to; without it they go to the test's own."""

CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1600,1000",
)  # fmt: skip


@contextlib.contextmanager
def running(command: list[str], log: Path, address: str, **more: Any) -> Iterator[None]:
    """A server for the length of the block: it and what it started are ended by process group."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, **more)
        try:
            until(lambda: process.poll() is not None or answers(address), 120, f"{command[0]} at {address}")
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            yield
        finally:
            for signal in (15, 9):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = true()
        if value:
            return value
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


class Browser:
    """As much of the WebDriver protocol (W3C) as reading a page needs."""

    def __init__(self, driver: str, binary: str, profile: Path) -> None:
        options = {"binary": binary, "args": [*CHROMIUM, f"--user-data-dir={profile}"]}
        logs = {"browser": "ALL", "performance": "ALL"}
        asked = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
        capabilities = {"alwaysMatch": asked}
        opened = requests.post(f"{driver}/session", json={"capabilities": capabilities}, timeout=120).json()["value"]
        self._session = f"{driver}/session/{opened['sessionId']}"

    def open(self, url: str) -> None:
        self._post("url", {"url": url})

    def text(self) -> str:
        """What is written on the page."""
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def wait_for(self, *words: str, seconds: float = 60) -> str:
        """The page's text, once it holds all ``words``."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.text()
            missing = [word for word in words if word not in text]
            if not missing:
                return text
            assert time.monotonic() < deadline, f"not on the page: {missing}; it says: {text[:3000]}"
            time.sleep(0.5)

    def run(self, script: str, *args: Any) -> Any:
        """What the JavaScript function body gives."""
        return self._post("execute/sync", {"script": script, "args": list(args)})

    def click(self, selector: str) -> None:
        """As with the mouse, on the first element that a CSS selector finds."""
        elements = until(lambda: self._elements(selector), 60, f"an element {selector}")
        self._post(f"element/{elements[0]}/click", {})

    def choose(self, selector: str, *files: Path) -> None:
        """As in the window that a field for files opens."""
        (element,) = self._elements(selector)
        self._post(f"element/{element}/value", {"text": "\n".join(map(str, files))})

    def _elements(self, selector: str) -> list[str]:
        elements = self._post("elements", {"using": "css selector", "value": selector})
        return [reference for element in elements for reference in element.values()]

    def press(self, key: str) -> None:
        """As on the keyboard; keys without a letter have code points of their own (WebDriver, 17.4.2)."""
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._post("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self._post("goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width: int, height: int) -> None:
        """Give the page so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was written to a log since it was read last: ``browser`` is the console, ``performance`` the network."""
        entries: list[dict[str, Any]] = self._post("se/log", {"type": kind})
        return entries

    def screenshot(self, path: Path) -> Path:
        answer = requests.get(f"{self._session}/screenshot", timeout=60).json()["value"]
        path.write_bytes(base64.b64decode(answer))
        return path

    def close(self) -> None:
        requests.delete(self._session, timeout=60)

    def _post(self, command: str, body: dict[str, Any]) -> Any:
        answer = requests.post(f"{self._session}/{command}", json=body, timeout=120)
        assert answer.ok, answer.text[:1000]
        return answer.json()["value"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium, driven by chromedriver."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver on PATH (Debian: apt-get install chromium chromium-driver)")
    port, folder = free_port(), tmp_path_factory.mktemp("browser")
    address = f"http://127.0.0.1:{port}"
    with running([driver, f"--port={port}"], folder / "log", f"{address}/status"):
        opened = Browser(address, binary, folder / "profile")
        yield opened
        opened.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go."""
    folder = Path(os.environ.get(KEEP, tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def not_blank(path: Path) -> bool:
    with Image.open(path) as image:
        return float(np.asarray(image.convert("L")).std()) > 5
