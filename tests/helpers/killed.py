"""What is done in a process that is killed in the midst of it, and the points at which sweeps are killed.

The process is forked from a server that has imported the package: it starts at once, and shares neither threads nor
connections with the process of the tests, as a forked child of that would.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers import forked
from helpers.sweeps import run_in_this_process
from mobilenet_chest import two_stage
from mobilenet_chest.config import Config
from mobilenet_chest.deploy.compress.compress import compress
from mobilenet_chest.sweep import claims, objective, run_sweep, rung_gate
from mobilenet_chest.sweep.local_workers import open_study
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.tracking import artifact_writer
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training import checkpoint, loop

WAIT_SECONDS = 600

ACT = """
import pickle, sys
import torch

sys.path.insert(0, sys.argv[1])
import pytest

torch.set_num_threads(1)  # as in the process of the tests: stage 1 is shared between equal numbers of threads
with open(sys.argv[2], "rb") as file:
    act, given = pickle.load(file)
act(pytest.MonkeyPatch(), *given)
"""


def killed_in(act: Callable[..., object], *given: Any) -> None:
    """Call ``act(patch, *given)`` of a module in another process, which is expected to be killed by it."""
    with tempfile.TemporaryDirectory() as folder:
        task, log = Path(folder) / "task", Path(folder) / "log"
        task.write_bytes(pickle.dumps((act, given)))
        command = [sys.executable, "-c", ACT, str(Path(__file__).parents[1]), str(task)]
        with log.open("wb") as file:
            code = forked.Popen(command, stdout=file, stderr=file).wait(WAIT_SECONDS)
        assert code == -signal.SIGKILL, log.read_text(encoding="utf-8")


def sweep_killed_at(patch: pytest.MonkeyPatch, config: Config, point: str) -> None:
    """Run a sweep that saves every epoch, killed at a point: "in epoch 3", "in a checkpoint", ..."""
    run_in_this_process(patch)
    patch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)
    match point.split():
        case ["after", "the", "ask"]:
            patch.setattr(claims, "worker_record", die)
        case ["in", "epoch", number]:
            patch.setattr(loop, "train_epoch", at_call(int(number), loop.train_epoch))
        case ["in", "a", "checkpoint"]:
            patch.setattr(checkpoint, "whole_file", dying_at_call(4, checkpoint.whole_file))
        case ["in", "its", "copying"]:
            # config.yaml of the study and of the trial, two epochs of stage 1, its best, and then
            patch.setattr(MlflowTracker, "log_file", at_call(6, MlflowTracker.log_file))
        case ["at", "a", "rung"]:  # told, and not saved yet
            patch.setattr(rung_gate, "goes_on", die)
        case ["before", "pause", number]:
            patch.setattr(objective, "pause", at_call(int(number), objective.pause))
        case ["after", "the", "thaw"]:
            patch.setattr(claims, "existing_trial", die)
        case ["at", "its", "end"]:
            patch.setattr(two_stage, "remove_last", die)
        case _:
            raise ValueError(point)
    run_sweep(config)


def compress_killed_in_epoch(
    patch: pytest.MonkeyPatch, run_id: str, method: str, overrides: list[str], number: int
) -> None:
    """Compress a run by training, killed in an epoch; every epoch before is saved."""
    patch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)
    patch.setattr(loop, "train_epoch", at_call(number, loop.train_epoch))
    compress(run_id, method, overrides)


def repair_killed_in(patch: pytest.MonkeyPatch, step: str) -> None:
    """Repair studies, killed in a step of :mod:`mobilenet_chest.sweep.claims`."""
    patch.setattr(claims, step, die)
    repair()


def killed_after_three_claims(patch: pytest.MonkeyPatch, config: Config, url: str) -> None:
    study = open_study(config, url)
    for _ in range(3):
        assert claims.claim(study, config, url) is not None
    die()


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(number: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """As ``real``, but killed at that call."""
    calls = itertools.count(1)
    return lambda *given, **named: die() if next(calls) == number else real(*given, **named)


def dying_at_call(number: int, open_whole: Callable[..., Any]) -> Callable[..., Any]:
    """As ``open_whole``, but killed in that call, when the contents are written and the file has not its name yet."""
    calls = itertools.count(1)

    @contextmanager
    def cut_short(*given: Any, **named: Any) -> Iterator[Any]:
        with open_whole(*given, **named) as file:
            yield file
            if next(calls) == number:
                file.flush()
                die()

    return cut_short
