"""The measured process as the benchmark sees it: started, given orders, ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilenet_chest.errors import DataError

_ENGINE = "mobilenet_chest.deploy.benchmark.engine"


@dataclass(frozen=True)
class Calls:
    """Calls of one batch size, timed in the measured process.

    Attributes:
        seconds: Of each call.
        joules: Energy of the processor during all of them; ``None`` where it cannot be read.
        peak_bytes: The process's largest resident memory so far.
    """

    seconds: list[float]
    joules: float | None
    peak_bytes: int


class EngineProcess:
    """A fresh process that has loaded a file and answered once.

    Args:
        format_name: A name of :data:`~mobilenet_chest.deploy.formats.FORMATS`.
        path: The file.
        threads: Threads of its engine.
        images: A ``.npy`` file of uint8 images (n, c, s, s), as many as the largest batch.

    Attributes:
        start_seconds: From the start of the process to the first answer.

    Raises:
        DataError: It ended before that.
    """

    def __init__(self, format_name: str, path: Path, threads: int, images: Path) -> None:
        self._what = f"{path.name} ({format_name})"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        before = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", _ENGINE, format_name, str(path), str(threads), str(images)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        try:
            self._reply()
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.perf_counter() - before

    def time(self, batch: int, calls: int) -> Calls:
        """Return the times of so many calls with so many images.

        Raises:
            DataError: The process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"batch": batch, "calls": calls}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the reply says why
        return Calls(**self._reply())

    def close(self) -> None:
        """End the process, and return when it has ended."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            last = (self._errors.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise DataError(
                f"{self._what} cannot be measured, its process ended with {self._process.returncode}: {last}"
            )
        return dict(json.loads(line))
