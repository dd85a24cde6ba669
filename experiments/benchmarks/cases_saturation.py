"""A served model under three times the requests that it holds: refusals, memory, and how soon it is itself again."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
from cases_http import _film, _one_core, _running
from common import Case, Options, experiment, report, store
from measure import Json, SavedResults
from PIL import Image

from mobilenet_chest.data import phantom
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

SECONDS, WARM_SECONDS = 120.0, 20.0
HELD = 32
"""Requests that the server holds: so many may wait and be predicted."""

CLIENTS = 3 * HELD
NAME = "saturated"


class Load:
    """Clients that send one request after the other, whatever the answer."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port, self._request = port, request
        self.statuses, self.seconds, self.lost = Counter[int](), list[float](), 0

    async def run(self, clients: int, seconds: float) -> None:
        """Keep so many clients busy for so long."""
        until = time.perf_counter() + seconds
        await asyncio.gather(*(self._client(until) for _ in range(clients)))

    async def _client(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while (started := time.perf_counter()) < until:
            writer.write(self._request)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                assert length is not None
                await reader.readexactly(int(length[1]))
            except (OSError, asyncio.IncompleteReadError):
                self.lost += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                continue
            status = int(head.split(b" ", 2)[1])
            self.statuses[status] += 1
            if status == 200:
                self.seconds.append(time.perf_counter() - started)
        writer.close()


def saturation(options: Options, saved: SavedResults) -> Json:
    """Load a server for two minutes; client and server share one core."""
    with tempfile.TemporaryDirectory(prefix="benchmark-saturation-") as folder, store(Path(folder)), _one_core():
        data, film = Path(folder) / "films.npz", Path(folder) / "film.png"
        np.savez(data, **phantom.generate(64, {"train": 160, "val": 96, "test": 96}, seed=2024))  # type: ignore[arg-type]
        config = experiment(options, data, {"stage1.epochs": 1, "stage2.epochs": 1, "data.image_size": 64})
        promote(str(train(config, MlflowTracker()).run_id), NAME)
        Image.fromarray(_film()).save(film)
        command = [sys.executable, "-m", "mobilenet_chest", "serve", f"{NAME}@champion", "--port", "0",
                   "--max-waiting", str(HELD // 2), "--max-batch", str(HELD // 2)]  # fmt: skip
        with _running(command) as process:
            assert process.stdout is not None
            said = re.search(r":(\d+)/", process.stdout.readline())
            assert said is not None
            row = asyncio.run(_measured(process, int(said[1]), film.read_bytes(), options.quick))
    return report(
        [row],
        f"{CLIENTS} clients at once, the server holds {HELD} requests; a 64×64 film with TTA; memory is the server's "
        f"resident set after {WARM_SECONDS:g} s and at the end of {SECONDS:g} s; recovery is the time from the last "
        "answer of the load to one of a new client; client and server on one core; "
        f"load of the machine {os.getloadavg()[0]:.1f}",
    )


async def _measured(process: subprocess.Popen[str], port: int, body: bytes, quick: bool) -> Json:
    request = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    memory, alone = psutil.Process(process.pid), Load(port, request)
    warm, long = (0.3, 1.0) if quick else (WARM_SECONDS, SECONDS)
    await alone.run(1, 0.2 if quick else 3.0)
    load = Load(port, request)
    await load.run(CLIENTS, warm)
    before, peak = memory.memory_info().rss, 0
    running = asyncio.create_task(load.run(CLIENTS, long - warm))
    while not running.done():
        peak = max(peak, memory.memory_info().rss)
        await asyncio.sleep(0.5)
    await running
    after, started, probe = memory.memory_info().rss, time.perf_counter(), Load(port, request)
    while not probe.statuses[200]:
        await probe.run(1, 0.001)
    recovery = time.perf_counter() - started
    later = Load(port, request)
    await later.run(1, 0.2 if quick else 3.0)
    alone_ms, loaded_ms, later_ms = (1000 * float(np.median(each.seconds)) for each in (alone, load, later))
    return {
        "answered": load.statuses[200], "refused_429": load.statuses[429],
        "other": sum(count for status, count in load.statuses.items() if status not in (200, 429)), "lost": load.lost,
        "p50_alone_ms": round(alone_ms, 1), "p50_loaded_ms": round(loaded_ms, 1), "p50_later_ms": round(later_ms, 1),
        "p99_loaded_ms": round(1000 * float(np.percentile(load.seconds, 99)), 1),
        "memory_mib": round(before / 2**20, 1), "peak_mib": round(peak / 2**20, 1), "end_mib": round(after / 2**20, 1),
        "recovery_s": round(recovery, 3),
    }  # fmt: skip


CASES = {"saturation": Case(saturation, "a served model under three times the requests that it holds")}
