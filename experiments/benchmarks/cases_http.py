"""Requests a second of a served model: ours beside MLflow's scoring server, client and server on one core."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from common import ROOT, Case, Options, environment, experiment, report, store
from measure import Json, SavedResults, interleaved, ratios, spread
from PIL import Image

from mobilenet_chest.data import phantom
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

CLIENTS = (1, 16)
SECONDS = 8.0
WARM_SECONDS = 2.0
START_SECONDS = 120
NAME = "benchmark"


def requests(options: Options, saved: SavedResults) -> Json:
    """Measure requests a second, and the times of single answers."""
    with tempfile.TemporaryDirectory(prefix="benchmark-http-") as folder, store(Path(folder)), _one_core():
        _promoted(options, Path(folder))
        with _ours() as ours, _mlflow() as theirs:
            sides = {
                f"{side}, {clients} clients": partial(_rate, port, path, body, kind, clients, options.quick)
                for side, (port, path, body, kind) in {"ours": ours, "MLflow": theirs}.items()
                for clients in CLIENTS
            }
            rounds = interleaved(sides, options.rounds, saved)
    rows: list[Json] = []
    for side, measured in rounds.items():
        rate, half, most = zip(*measured, strict=True)
        rows.append({"side": side, "requests_per_second": spread(rate), "p50_ms": spread(half), "p99_ms": spread(most)})
    return report(rows, f"a 64×64 film with TTA; a PNG for ours, JSON for MLflow's; {SECONDS:g} s a round; "
                  f"load {os.getloadavg()[0]:.1f} at the end")  # fmt: skip


def second_model(options: Options, saved: SavedResults) -> Json:
    """Measure what a log of answers, a shadow and a challenger add to an answer's time."""
    with tempfile.TemporaryDirectory(prefix="benchmark-http-") as folder, store(Path(folder)), _one_core():
        _promoted(options, Path(folder))
        logs, second = f"{folder}/logs", f"{NAME}/1"
        with (
            _ours() as plain, _ours("--log-dir", logs) as logged,
            _ours("--log-dir", logs, "--shadow", second) as shadow,
            _ours("--log-dir", logs, "--challenger", second, "--share", "0.5") as challenger,
        ):  # fmt: skip
            servers = {"alone": plain, "log": logged, "shadow": shadow, "challenger": challenger}
            sides = {
                f"{side}, {clients} clients": partial(_rate, *server, clients, options.quick)
                for side, server in servers.items()
                for clients in CLIENTS
            }
            rounds = interleaved(sides, options.rounds, saved)
            outcomes = _shadow_images(shadow[0])
    rows: list[Json] = []
    for side, measured in rounds.items():
        rate, half, most = zip(*measured, strict=True)
        log = [half for _, half, _ in rounds[f"log, {side.partition(', ')[2]}"]]
        added = spread([ms - of_log for ms, of_log in zip(half, log, strict=True)])
        rows.append({"side": side, "requests_per_second": spread(rate), "p50_ms": spread(half), "p99_ms": spread(most),
                     "p50_ms_above_log": added})  # fmt: skip
    return report(rows, f"a 64×64 film with TTA, client and servers on one core; images of the shadow: {outcomes}",
                  f"load {os.getloadavg()[0]:.1f} at the end")  # fmt: skip


def workers(options: Options, saved: SavedResults) -> Json:
    """Measure requests a second of one process and of as many workers as there are cores, clients on the same cores."""
    count = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="benchmark-http-") as folder, store(Path(folder)):
        _promoted(options, Path(folder))
        with environment(PYTHONPATH=str(ROOT)), _ours() as alone, _ours("--workers", str(count)) as several:
            sides = {"1 process": alone, f"{count} workers": several}
            rounds = interleaved({side: partial(_rate, *server, 16, options.quick) for side, server in sides.items()},
                                 options.rounds, saved)  # fmt: skip
    rates = {side: [rate for rate, _, _ in measured] for side, measured in rounds.items()}
    rows: list[Json] = [
        {"side": side, "requests_per_second": spread(rates[side]), "p50_ms": spread([half for _, half, _ in measured]),
         "times_one_process": ratios(rates[side], rates["1 process"])}
        for side, measured in rounds.items()
    ]  # fmt: skip
    return report(rows, f"16 clients, a 64×64 film with TTA, {count} cores; load {os.getloadavg()[0]:.1f} at the end")


def _shadow_images(port: int) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    return {what: int(float(n)) for what, n in re.findall(r'shadow_images_total\{outcome="(\w+)"\} (\S+)', page)}


def _promoted(options: Options, folder: Path) -> None:
    """Train and promote a model in an empty store."""
    fields = {"stage1.epochs": 1, "stage2.epochs": 1, "data.image_size": 64}
    data = folder / "films.npz"
    np.savez(data, **phantom.generate(64, {"train": 160, "val": 96, "test": 96}, seed=2024))
    result = train(experiment(options, data, fields), MlflowTracker())
    promote(str(result.run_id), NAME)


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with environment(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT)):
            yield
    finally:
        os.sched_setaffinity(0, allowed)


def _film() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)


@contextlib.contextmanager
def _ours(*words: str) -> Iterator[tuple[int, str, bytes, str]]:
    command = [sys.executable, "-m", "mobilenet_chest", "serve", f"{NAME}@champion", "--port", "0", *words]
    with _running(command) as process:
        assert process.stdout is not None
        said = re.search(r":(\d+)/", process.stdout.readline())
        assert said is not None
        file = BytesIO()
        Image.fromarray(_film()).save(file, "PNG")
        yield int(said[1]), "/predict", file.getvalue(), "image/png"


@contextlib.contextmanager
def _mlflow() -> Iterator[tuple[int, str, bytes, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager",
               "local", "--port", str(port), "--workers", "1"]  # fmt: skip
    with _running(command, subprocess.DEVNULL):  # it writes a line for each request
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if time.monotonic() > deadline:
                raise RuntimeError("mlflow models serve does not answer")
            time.sleep(0.5)
        yield port, "/invocations", json.dumps({"inputs": [_film().tolist()]}).encode(), "application/json"


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def _running(command: list[str], stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, text=True,
                               start_new_session=True)  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _rate(port: int, path: str, body: bytes, kind: str, clients: int, quick: bool) -> tuple[float, float, float]:
    """Return requests a second, and the 50th and 99th percentile of an answer's milliseconds."""
    times: list[float] = []
    measured_from = time.perf_counter() + (0.2 if quick else WARM_SECONDS)
    until = measured_from + (0.5 if quick else SECONDS)

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (started := time.perf_counter()) < until:
            connection.request("POST", path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: status {answer.status}")
            if started > measured_from:
                times.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not times:
        raise RuntimeError(f"{path}: no answer in {until - measured_from:g} s")
    half, most = np.percentile(times, [50, 99]) * 1000
    return len(times) / (until - measured_from), float(half), float(most)


CASES = {
    "http": Case(requests, "requests a second of a served model, beside MLflow's scoring server"),
    "workers": Case(workers, "requests a second of one process and of several workers"),
    "second-model": Case(second_model, "what a log of answers, a shadow and a challenger add to an answer's time"),
}
