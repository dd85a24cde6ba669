"""Inputs made to do harm: what would show that one of them was run, or was written out of its folder."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.canary,)


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What must not be there after the test."""
    path = tmp_path_factory.mktemp("cage") / "canary"
    yield path
    assert not path.exists()


def is_live(canary: Path, open_it: Callable[[], Any]) -> None:
    """See that the bomb works where it is opened carelessly, or the test would prove nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):  # what comes after the explosion does not matter
            open_it()
    assert canary.exists()
    canary.rmdir()


def snapshot(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@contextlib.contextmanager
def serving(answers: dict[str, bytes], headers: dict[str, str] | None = None) -> Iterator[str]:
    """An HTTP server on loopback that answers whatever path holds a key of ``answers`` with its value."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = next((answer for part, answer in answers.items() if part in self.path), b"{}")
            self.send_response(200)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
