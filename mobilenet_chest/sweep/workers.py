"""Worker processes: each claims a trial, runs it, and claims the next."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NamedTuple

import optuna
from optuna.trial import TrialState

from mobilenet_chest import interrupts
from mobilenet_chest.config import Config
from mobilenet_chest.sweep.claims import claim, claimable
from mobilenet_chest.sweep.objective import run_trial
from mobilenet_chest.sweep.space import TrialSeededSampler, build_pruner
from mobilenet_chest.sweep.storage import open_storage

HOPELESS = 3
"""A sweep whose first trials all fail, this many, is stopped: the next would fail as well."""

END_SECONDS = 120.0
"""How long an interrupted worker may take to keep its checkpoint before it is killed."""


DEATHS_PER_WORKER = 3
"""So many workers for each that is wanted may die without a trial begun in between: the next would die as well."""

IDLE_SECONDS = 30.0
"""How long workers are given to leave when there is no trial any more."""


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    Attributes:
        config: The experiment.
        url: The study's storage.
        parent_run: The study's run in MLflow.
        deadline: Time (of ``time.time()``) after which no trial is begun, if any.
        threads: CPU threads for torch.
        first_trial: Number of the first trial of this sweep's present run: earlier failures may have been mended.
    """

    config: Config
    url: str
    parent_run: str
    deadline: float | None
    threads: int
    first_trial: int = 0


def open_study(config: Config, url: str) -> optuna.Study:
    """The study of an experiment, which must exist, with its sampler and pruner."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.load_study(
        study_name=config.study_name,
        storage=open_storage(url),
        sampler=TrialSeededSampler(config),
        pruner=build_pruner(config),
    )


def work(job: Job) -> None:
    """Run trials in this process until none is left, time is up, or all fail.

    Raises:
        KeyboardInterrupt: After the trial in hand was ended and queued again.
    """
    import torch

    torch.set_num_threads(job.threads)
    study = open_study(job.config, job.url)
    while (job.deadline is None or time.time() < job.deadline) and not hopeless(study, job.first_trial):
        claimed = claim(study, job.config, job.url)
        if claimed is None:
            return
        run_trial(job.config, study, job.url, *claimed, job.parent_run)


def hopeless(study: optuna.Study, first_trial: int = 0) -> bool:
    """Whether the study has nothing but failures, at least :data:`HOPELESS` of them since ``first_trial``."""
    trials = study.get_trials(deepcopy=False)
    counted = [t for t in trials[first_trial:] if not t.user_attrs.get("interrupted")]
    failed = [t for t in counted if t.state == TrialState.FAIL]
    return len(failed) >= HOPELESS and not any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials)


class Outlook(NamedTuple):
    """What there is to do in a study.

    Attributes:
        open: A trial can be claimed.
        busy: A trial is in hands, here or on another machine; it may come back.
        begins: Trials are still to be begun: time is not up, and not all fail.
        begun: How many have been, ever.
    """

    open: bool
    busy: bool
    begins: bool
    begun: int


def outlook(study: optuna.Study, job: Job) -> Outlook:
    """What there is to do for the workers of a job."""
    trials = study.get_trials(deepcopy=False)
    begins = (job.deadline is None or time.time() < job.deadline) and not hopeless(study, job.first_trial)
    busy = any(trial.state == TrialState.RUNNING for trial in trials)
    return Outlook(begins and claimable(trials, job.config), busy, begins, len(trials))


def run_workers(job: Job, workers: int, on_tick: Callable[[], Outlook], bury: Callable[[], object]) -> None:
    """Run worker processes until the study has nothing for them; one that dies is replaced.

    Args:
        job: What each is told.
        workers: How many.
        on_tick: Called about once a second; says what there is to do.
        bury: Called after a worker has died, to free its trial.

    Raises:
        KeyboardInterrupt: After all workers have ended their trials.
    """
    context, most = multiprocessing.get_context("spawn"), DEATHS_PER_WORKER * workers
    running: list[BaseProcess] = []

    def start() -> None:
        process = context.Process(target=_worker, args=(job,), name=f"worker-{len(running)}")
        process.start()
        running.append(process)

    try:
        with _interrupts_ignored():  # workers inherit it: Ctrl-C is for the driver, which ends them in order
            for _ in range(workers):
                start()
        deaths, begun, idle_since = 0, -1, math.inf
        while True:
            left = on_tick()
            if left.begun != begun:  # a trial that kills its workers is ended by study.max_retries
                deaths, begun = 0, left.begun
            for process in [process for process in running if not process.is_alive()]:
                running.remove(process)
                if process.exitcode == 0:
                    continue
                bury()
                deaths += 1
                if deaths <= most:
                    print(f"a worker ended with exit code {process.exitcode}; starting another", file=sys.stderr)
            # for the dead, and for trials that come back from workers that were stopped or are on other machines
            while left.open and len(running) < workers and deaths <= most:
                with _interrupts_ignored():
                    start()
            idle_since = min(idle_since, time.monotonic()) if not (left.open or left.busy) else math.inf
            # a worker that was stopped and has lost its trial would be waited for without end
            if (not running and not (left.begins and left.busy)) or time.monotonic() - idle_since > IDLE_SECONDS:
                return
            if running:
                running[0].join(timeout=1.0)
            else:
                time.sleep(1.0)
    finally:
        _end(running)


def _end(running: list[BaseProcess]) -> None:
    for process in running:
        process.terminate()
        if hasattr(signal, "SIGCONT") and process.pid is not None:
            os.kill(process.pid, signal.SIGCONT)  # one that is stopped could not end
    deadline = time.monotonic() + END_SECONDS
    for process in running:
        process.join(timeout=max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _worker(job: Job) -> None:
    signal.signal(signal.SIGTERM, _interrupt_once)
    interrupts.install()
    try:
        work(job)
    except KeyboardInterrupt:
        # the trial is ended and queued again; a traceback would tell the user nothing
        sys.stdout.flush()
        os._exit(0)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    interrupts.raise_interrupt(number, frame)
