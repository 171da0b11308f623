# SPDX-License-Identifier: MIT
"""A page in headless Chromium, driven by its DevTools protocol over a pipe; standard library only.

The idea to hold: the protocol is JSON messages that end in a zero byte, on file descriptors 3 and
4 of the browser. Answers carry the number of their question; what comes in between are events,
and those that tell of an error of the page are kept in `Page.errors`.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-extensions", "--disable-default-apps", "--hide-scrollbars", "--mute-audio",
         "--force-device-scale-factor=1", "--remote-debugging-pipe"]
NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]
KEY_CODES = {"Escape": 27, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
             "ArrowDown": 40, "Home": 36}


class Unavailable(Exception):
    """There is no browser here that starts; says why."""


class PageError(Exception):
    """The page, or the browser, did not do as asked."""


def find_browser():
    for name in [os.environ.get("ORRERY_BROWSER", "")] + NAMES:
        path = shutil.which(name) if name else None
        if path:
            return path
    raise Unavailable("no Chromium here (Debian's package is chromium)")


class Page:
    def __init__(self, width=1280, height=800, timeout=60):
        self.timeout = timeout
        self.errors = []
        self.requests = []
        self.number = 0
        self.buffer = b""
        self.session = None
        self.pid = 0
        self.profile = tempfile.mkdtemp(prefix="orrery-browser-")
        try:
            self._start(find_browser())
            self._attach(width, height)
        except BaseException:
            self.close()
            raise

    def _start(self, browser):
        def high(fd):
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
            os.close(fd)
            return moved
        child_in, self.to = (high(fd) for fd in os.pipe())
        self.fro, child_out = (high(fd) for fd in os.pipe())
        self.log = os.path.join(self.profile, "stderr.log")
        argv = [browser] + FLAGS + [f"--user-data-dir={self.profile}/data", "about:blank"]
        actions = [(os.POSIX_SPAWN_DUP2, child_in, 3), (os.POSIX_SPAWN_DUP2, child_out, 4),
                   (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 2, self.log, os.O_WRONLY | os.O_CREAT, 0o600)]
        # A home of its own too: Chromium leaves things there beside its profile.
        environment = dict(os.environ, HOME=self.profile)
        self.pid = os.posix_spawn(browser, argv, environment, file_actions=actions, setpgroup=0)
        os.close(child_in)
        os.close(child_out)

    def _attach(self, width, height):
        try:
            target = self.send("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.send("Target.attachToTarget", targetId=target,
                                     flatten=True)["sessionId"]
        except (PageError, OSError) as e:
            with open(self.log, errors="replace") as f:
                tail = f.read()[-500:].strip()
            raise Unavailable(f"Chromium does not start ({e}): {tail}") from e
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def resize(self, width, height, scale=1):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=False)

    def prefer(self, scheme):
        self.send("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme},
                            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def send(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        return self._wait(lambda m: m.get("id") == self.number, method)

    def _wait(self, wanted, what):
        deadline = time.monotonic() + self.timeout
        while True:
            while b"\0" in self.buffer:
                raw, self.buffer = self.buffer.split(b"\0", 1)
                message = json.loads(raw)
                self._note(message)
                if wanted(message):
                    if "error" in message:
                        raise PageError(f"{what}: {message['error'].get('message')}")
                    return message.get("result", message)
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fro], [], [], left)[0]:
                raise PageError(f"{what}: no answer in {self.timeout} s")
            data = os.read(self.fro, 1 << 20)
            if not data:
                raise PageError(f"{what}: the browser has ended")
            self.buffer += data

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details.get("text")
            self.errors.append(f"exception: {text}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append("console: " + " ".join(
                str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"log: {params['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])

    def open(self, path):
        self.send("Page.navigate", url="file://" + os.path.abspath(path))
        self._wait(lambda m: m.get("method") == "Page.loadEventFired", "opening the page")

    def evaluate(self, expression):
        result = self.send("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return result["result"].get("value")

    def mouse(self, kind, x, y, **more):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def move(self, x, y):
        self.mouse("mouseMoved", x, y)

    def click(self, x, y, clicks=1):
        for n in range(1, clicks + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button="left", clickCount=n)

    def drag(self, x0, y0, x1, y1, modifiers=0):
        self.mouse("mousePressed", x0, y0, button="left", clickCount=1, modifiers=modifiers)
        for n in range(1, 6):
            self.mouse("mouseMoved", x0 + (x1 - x0) * n / 5, y0 + (y1 - y0) * n / 5, button="left",
                       buttons=1, modifiers=modifiers)
        self.mouse("mouseReleased", x1, y1, button="left", clickCount=1, modifiers=modifiers)

    def wheel(self, x, y, delta, modifiers=0):
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=delta, modifiers=modifiers)

    def key(self, key, modifiers=0):
        text = key if len(key) == 1 else ""
        code = KEY_CODES.get(key, ord(key.upper()) if text else 0)
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        self.send("Input.insertText", text=text)

    def screenshot(self, path):
        data = self.send("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def close(self):
        for fd in (getattr(self, "to", -1), getattr(self, "fro", -1)):
            if fd >= 0:
                os.close(fd)
        self.to = self.fro = -1
        if self.pid:
            # The whole group: renderers outlive a browser that was ended roughly.
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(self.pid, 0)
            self.pid = 0
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
