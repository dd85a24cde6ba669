"""MLflow's own server on a free port of this machine, for looking at a store."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import requests

from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.tracking.store import connect, tracking_uri, without_password

HOST = "127.0.0.1"

START_SECONDS = 90
"""How long the server may take until it answers: it imports much, and a shared machine is slow."""

STOP_SECONDS = 10
"""How long it may take to end before it is killed."""

SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Unless the user has set them otherwise: no helper processes that nothing here needs, and nothing sent elsewhere."""

WORKERS = "1"


@contextlib.contextmanager
def ui_server(port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server on the store that MLflow's variables name, for the length of the block; only this machine sees it.

    Args:
        port: Where it listens; a free port by default.

    Yields:
        Its address, once it answers, and its process, which leads a group of its own.

    Raises:
        TrackingError: The store cannot be used, or the server does not start.
        UserError: The port is taken.
    """
    connect()  # a fresh database is made here, and what is wrong with one is said in one line
    port = _port(port)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", WORKERS],
            env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            address = f"http://{HOST}:{port}"
            if not _answers(process, address):
                log.seek(0)
                raise TrackingError(f"`mlflow server` does not start on port {port}: {_last_line(log.read())}")
            yield address, process
        finally:
            _stop(process)


def _environment() -> dict[str, str]:
    """Return the server's environment: the store is named there, as command lines and their passwords are public."""
    store = {"MLFLOW_BACKEND_STORE_URI": tracking_uri()}
    # to its own server MLflow would be a client as well
    others = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return SETTINGS | others | store


def _port(wanted: int | None) -> int:
    """Return the port to listen on: the one that is wanted, or a free one.

    Raises:
        UserError: It cannot be had.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was in use a moment ago
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            raise UserError(f"--port {wanted}: {error.strerror}; leave it out for a free one") from error
        return int(probe.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    """Wait until the server answers; return whether it does before it ends, and in time."""
    deadline = time.monotonic() + START_SECONDS
    with requests.Session() as session:
        session.trust_env = False  # a proxy does not know this machine's own ports
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if session.get(f"{address}/health", timeout=5).ok:
                    return process.poll() is None
            time.sleep(0.2)
    return False


def _last_line(log: bytes) -> str:
    lines = [line for line in log.decode(errors="replace").splitlines() if line.strip()]
    return without_password(lines[-1].strip())[:300] if lines else "it said nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
