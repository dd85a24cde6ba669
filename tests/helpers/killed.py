"""What is done in a process that is killed in the midst of it, and the points at which sweeps are killed.

The process is a child of a fork server that has imported the package: it starts at once, and shares neither threads
nor connections with the process of the tests, as a forked child of that would.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

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

PRELOAD = ["helpers.killed", "timm"]
WAIT_SECONDS = 600


def killed_in(act: Callable[..., object], *given: Any) -> None:
    """Call ``act(patch, *given)`` of a module in another process, which is expected to be killed by it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = context.Process(target=_act, args=(str(Path.cwd()), dict(os.environ), log, act, given))
        process.start()
        process.join(WAIT_SECONDS)
        assert process.exitcode == -signal.SIGKILL, log.read_text(encoding="utf-8")


def _act(
    folder: str, environment: dict[str, str], log: Path, act: Callable[..., object], given: tuple[Any, ...]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)  # as in the process of the tests: stage 1 is shared between equal numbers of threads
    act(pytest.MonkeyPatch(), *given)


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
            patch.setattr(checkpoint, "write_whole", dying_at_call(4, checkpoint.write_whole))
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


def dying_at_call(number: int, write: Callable[..., Any]) -> Callable[..., Any]:
    """As ``write``, but killed in that call, when the contents are written and the file has not its name yet."""
    calls = itertools.count(1)

    def cut_short(*given: Any) -> Any:
        if next(calls) == number:
            os.fsync = die  # of a process that ends there
        return write(*given)

    return cut_short
