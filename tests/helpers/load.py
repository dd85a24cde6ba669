"""Clients that keep a server busy, and count what became of each request."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 30


class Clients:
    """Threads that send one request after the other; half of them over a new connection each time.

    Attributes:
        statuses: Status -> number of answers with it.
        versions: Versions of the model that answered, in the order in which they were first met.
        lost: What became of requests that were sent, and not answered.
        latencies: Seconds of each answer.
        requests: Ids that the server gave to the requests that it answered.
    """

    def __init__(self, port: int, body: bytes, path: str = "/predict") -> None:
        self._port, self._body, self._path = port, body, path
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.statuses, self.versions, self.lost = Counter[int](), list[str](), list[str]()
        self.latencies: list[float] = []
        self.requests: list[str] = []

    def run(self, keeps: bool) -> None:
        """Send requests until told to stop, or until nobody listens any more."""
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
                try:
                    connection.connect()
                except ConnectionRefusedError:  # it was never sent
                    return
            started = time.monotonic()
            try:
                connection.request("POST", self._path, self._body)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.lost.append(repr(error))
                connection.close()  # http.client leaves it open after an error
                connection = None
                continue
            with self._lock:
                self.statuses[answer.status] += 1
                self.latencies.append(time.monotonic() - started)
                if (request := answer.headers.get("Request-Id")) is not None:
                    self.requests.append(request)
                version = answer.headers.get("Model-Version")
                if version is not None and version not in self.versions[-1:]:
                    self.versions.append(version)
            if not keeps or answer.headers.get("Connection") == "close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    @contextmanager
    def busy(self, count: int) -> Iterator[None]:
        """Run so many clients during the block."""
        threads = [threading.Thread(target=self.run, args=(number % 2 == 0,)) for number in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
