"""Sweeps of several worker processes, in processes that start at once."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from helpers import forked
from mobilenet_chest.config import Config
from mobilenet_chest.sweep import SweepResult, SweepStatus

# as the command does: its workers are forked from a server, and so is it itself
DRIVER = """
import pickle, sys
from functools import partial
from pathlib import Path
from mobilenet_chest.fork_server import fork_server
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep.local_workers import run_workers

given, answer = map(Path, sys.argv[1:])
config, workers = pickle.loads(given.read_bytes())
seen = []
with fork_server() as server:
    launch = partial(run_workers, server=server)
    result = run_sweep(config, workers=workers, launch=launch, on_status=seen.append)
answer.write_bytes(pickle.dumps((result, seen)))
"""


def sweep_with_workers(config: Config, workers: int, folder: Path) -> tuple[SweepResult, list[SweepStatus]]:
    """Run a sweep of several worker processes; return its result and all that it said of its state.

    Args:
        config: The experiment.
        workers: How many.
        folder: The working folder.
    """
    given, answer = folder / "given.pickle", folder / "answer.pickle"
    given.write_bytes(pickle.dumps((config, workers)))
    ended = forked.run([sys.executable, "-c", DRIVER, str(given), str(answer)], cwd=folder, text=True)
    assert ended.returncode == 0, ended.stderr
    result: tuple[SweepResult, list[SweepStatus]] = pickle.loads(answer.read_bytes())
    return result
