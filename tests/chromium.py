"""A headless Chromium, driven through ChromeDriver's WebDriver protocol (https://www.w3.org/TR/webdriver/) on the loopback."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
NODE_MODULES = Path(__file__).parent / "browser" / "node_modules"

needs_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
needs_node_modules = pytest.mark.skipif(
    not (NODE_MODULES / "axe-core").is_dir() or not shutil.which("node"),
    reason="tests/browser has no node_modules: npm ci",
)

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)

KEYS = {"Escape": "\ue00c", "Tab": "\ue004", "Enter": "\ue007"}
"""Code points of keys without a character, from the WebDriver protocol."""


class Browser:
    """One session of ChromeDriver."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        options = {"args": [*ARGUMENTS, f"--user-data-dir={tempfile.mkdtemp()}"], "binary": CHROMIUM}
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{answer['sessionId']}"

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data, head, method=method)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, path: Path) -> Self:
        """Load a file, and wait until it is complete."""
        self._call("POST", f"{self._session}/url", {"url": path.resolve().as_uri()})
        return self

    def run(self, script: str, *arguments: object) -> Any:
        """Run a function's body; `return` gives its value."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": arguments})

    def run_async(self, script: str, *arguments: object) -> Any:
        """Run a function's body whose last argument is called with the value."""
        return self._call("POST", f"{self._session}/execute/async", {"script": script, "args": arguments})

    def press(self, *keys: str) -> None:
        """Press and release keys: characters, or names of KEYS."""
        codes = [KEYS.get(key, key) for key in keys]
        events = [{"type": kind, "value": code} for code in codes for kind in ("keyDown", "keyUp")]
        self._actions({"type": "key", "id": "keyboard", "actions": events})

    def point(self, selector: str, *, click: bool = False) -> None:
        """Move the pointer to the middle of an element that can be seen, and click if wanted."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        x, y = self.run(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [Math.round(r.x + r.width / 2), Math.round(r.y + r.height / 2)]",
            selector,
        )
        moves: list[dict[str, object]] = [{"type": "pointerMove", "x": x, "y": y, "duration": 0}]
        if click:
            moves += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._actions({"type": "pointer", "id": "mouse", "actions": moves})

    def _actions(self, source: dict[str, object]) -> None:
        self._call("POST", f"{self._session}/actions", {"actions": [source]})

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        self._call("POST", f"{self._session}/window/rect", {"width": width, "height": height})

    def command(self, name: str, **parameters: object) -> Any:
        """Send a command of Chromium's own protocol."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def messages(self) -> list[str]:
        """What the page has complained about since the last call: script errors, what its policy has blocked."""
        return [each["message"] for each in self._call("POST", f"{self._session}/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """The addresses that the page has asked for since the last call."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "performance"})
        events = [json.loads(each["message"])["message"] for each in entries]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def axe(self) -> list[str]:
        """What axe-core finds of WCAG 2.2 A and AA, a line each."""
        self.run((NODE_MODULES / "axe-core" / "axe.min.js").read_text("utf-8") + "; window.axe = axe")
        found = self.run_async(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then((result) => done(result.violations.map((each) =>"
            "  each.id + ': ' + each.nodes.slice(0, 3).map((node) => node.html.slice(0, 150) + ' ' +"
            "  node.failureSummary).join(' | '))))"
        )
        lines: list[str] = found
        return lines

    def close(self) -> None:
        """End the session."""
        self._call("DELETE", self._session)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    assert DRIVER is not None
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen((DRIVER, f"--port={port}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _attempt in range(200):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        session = Browser(port)
        try:
            yield session
        finally:
            session.close()
    finally:
        driver.terminate()
        driver.wait(10)


def html_validate(*paths: Path) -> str:
    """What html-validate finds in files; empty if nothing."""
    done = subprocess.run(
        (
            "node",
            NODE_MODULES / "html-validate" / "bin" / "html-validate.mjs",
            "--config",
            NODE_MODULES.parent / ".htmlvalidate.json",
            "--formatter",
            "text",
            *paths,
        ),
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr
