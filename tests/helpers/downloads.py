"""A web server on this machine that serves one file, and can be told what goes wrong."""

from __future__ import annotations

import hashlib
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = random.Random(3).randbytes(500_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves ``CONTENT`` with Range; what goes wrong is set on the server."""

    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        with server.counting:
            server.ranges.append(asked)
            budget = server.break_after.pop(0) if server.break_after else len(CONTENT)
        server.go_on.wait(20)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0  # type: ignore[index]
        if server.status != 200:
            self.send_error(server.status)
            return
        if asked and server.ignores_range:
            start = 0
        elif asked and start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if asked and not server.ignores_range else 200)
        if asked and not server.ignores_range:
            shown = start + server.range_error
            self.send_header("Content-Range", f"bytes {shown}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with server.counting:  # before the client can have it all, and look
            server.sent.append(len(body[:budget]))
        self.wfile.write(body[:budget])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr, which the tests look at."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.counting = threading.Lock()
        self.go_on = threading.Event()
        self.go_on.set()
        self.ranges: list[str | None] = []
        self.sent: list[int] = []
        self.break_after: list[int] = []
        self.status = 200
        self.ignores_range = False
        self.range_error = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/set.npz?download=1"
