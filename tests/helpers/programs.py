"""``python`` and ``mobilenet-chest`` for a shell's PATH: what a script starts is forked from a preloaded server.

A script of ten commands would import torch and MLflow ten times. Each program here is a small client: it hands its
command, folder, variables and streams to the process of the tests, passes signals on, and ends as the command ends.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers import forked

NAMES = ("python", "mobilenet-chest")

CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys

passed_on = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
tests = socket.socket(socket.AF_UNIX)
tests.connect({address!r})
socket.send_fds(tests, [b"0"], [0, 1, 2])
asked = {{"words": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ)}}
tests.sendall(json.dumps(asked).encode())
tests.shutdown(socket.SHUT_WR)
answers = tests.makefile()
process = int(answers.readline())
for number in passed_on:
    signal.signal(number, lambda number, _: os.kill(process, number))
signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
os._exit(int(answers.readline()))
"""


class _Command(socketserver.BaseRequestHandler):
    """A command of a shell, from its start to its end."""

    def handle(self) -> None:
        _, streams, *_ = socket.recv_fds(self.request, 1, 3)
        try:
            with self.request.makefile("rb") as given:
                asked = json.load(given)
            program, *words = asked["words"]
            if Path(program).name != "python":
                words.insert(0, str(Path(sys.executable).with_name(Path(program).name)))
            process = forked.Popen(
                [sys.executable, *words],
                **dict(zip(("stdin", "stdout", "stderr"), streams, strict=True)),
                cwd=asked["folder"],
                env=asked["environment"],
            )
        finally:
            for stream in streams:
                os.close(stream)
        self.request.sendall(f"{process.pid}\n".encode())
        code = process.wait()
        # a shell's number for a process that a signal has ended
        self.request.sendall(f"{code if code >= 0 else 128 - code}\n".encode())


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def forking_path() -> Iterator[str]:
    """Give a PATH whose programs are forked: they run on the cores of this thread."""
    folder = Path(tempfile.mkdtemp())  # a socket's address is short
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        with _Server(str(folder / "socket"), _Command) as server:
            text = CLIENT.format(python=sys.executable, address=server.server_address)
            for name in NAMES:
                (folder / name).write_text(text, encoding="utf-8")
                (folder / name).chmod(0o755)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            yield f"{folder}{os.pathsep}{path}"
            server.shutdown()
    finally:
        shutil.rmtree(folder)
