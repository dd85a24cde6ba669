"""Worker processes of this machine: each claims a trial, runs it, and claims the next."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from multiprocessing.connection import Connection
from types import FrameType

import optuna
from optuna.storages import RDBStorage

from mobilenet_chest import interrupts, logs, plugins
from mobilenet_chest.config import Config
from mobilenet_chest.errors import MobilenetChestError, WriteFailed
from mobilenet_chest.fork_server import ForkServer, WorkerProcess
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.claims import claim
from mobilenet_chest.sweep.control import LOOK_SECONDS, Control, in_force
from mobilenet_chest.sweep.objective import run_trial
from mobilenet_chest.sweep.pruner import build_pruner
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.sampler_choice import SamplerChoice, choose_sampler
from mobilenet_chest.sweep.storage import open_storage
from mobilenet_chest.sweep.supervisor import Forecast, WorkerPool, only_failures
from mobilenet_chest.sweep.trial_run import check_driver
from mobilenet_chest.sweep.worker_output import OutputRelay, write_to
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.store import wait_reachable

logger = logging.getLogger(__name__)

END_SECONDS = 120.0
"""How long an interrupted worker may take to save its checkpoint before it is killed."""

AWAY_SECONDS = 60.0
"""How long a worker waits for the tracking store before it begins a trial."""

CANNOT_WRITE = 74
"""Exit code of a worker whose disk is full; EX_IOERR of sysexits.h."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


def _log_level() -> int:
    return logs.shown_level()


@dataclass(frozen=True)
class Job:
    """What a worker needs to know; it is pickled for processes and actors.

    Attributes:
        config: The experiment.
        url: The study's storage.
        parent_run: The study's run in MLflow.
        deadline: Time (of ``time.time()``) after which no trial begins, if any.
        threads: CPU threads for torch.
        first_trial: Number of the first trial of this command: the cause of earlier failures may be gone.
        stops: How often the study had been stopped by hand when the command began.
        log_level: Level from which a worker process shows the package's log on stderr: that of the process that makes
            the job, so warnings only unless its command line or its Python caller asks for more.
    """

    config: Config
    url: str
    parent_run: str
    deadline: float | None
    threads: int
    first_trial: int = 0
    stops: int | None = None
    log_level: int = field(default_factory=_log_level)


Launcher = Callable[[Job, int, Callable[[], Forecast], Callable[[], object]], None]
"""What runs workers; the arguments are those of :func:`run_workers`."""


def open_study(config: Config, url: str, storage: RDBStorage | None = None) -> optuna.Study:
    """Return the stored study of an experiment with its sampler and pruner.

    Args:
        config: The experiment.
        url: Where the study is stored.
        storage: That storage, where it is open already.

    Raises:
        KeyError: There is no such study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name=config.study_name, storage=storage or open_storage(url), pruner=build_pruner(config)
    )
    study.sampler = TrialSeededSampler(config, stored_choice(config, study).name)
    return study


def stored_choice(config: Config, study: optuna.Study) -> SamplerChoice:
    """Return the sampler of a stored study, as it was chosen when the study was made."""
    return choose_sampler(config, study.user_attrs.get(attributes.SAMPLER))


def work(job: Job) -> None:
    """Run trials in this process until none is left, time is up, or all fail.

    Raises:
        KeyboardInterrupt: After the current trial was ended and queued again.
        TrackingError: The tracking store stays away: a trial cannot begin without it.
        WriteFailed: A disk is full; the current trial was queued again where that could still be written.
    """
    import torch

    torch.set_num_threads(job.threads)
    plugins.activate(job.config.plugins, named=True)  # who started the sweep has named them
    study = open_study(job.config, job.url)
    control = Control(study, job.stops)
    while (job.deadline is None or time.time() < job.deadline) and not only_failures(study, job.first_trial):
        if control.stopped:
            return
        if control.paused:
            check_driver()
            time.sleep(LOOK_SECONDS)
            continue
        wait_reachable(AWAY_SECONDS)
        for line in process_outbox().flush_all():  # pending writes of earlier trials
            logger.info("%s", line)
        claimed = claim(study, in_force(job.config, study), job.url)
        if claimed is None:
            return
        run_trial(job.config, study, job.url, *claimed, job.parent_run, control)


def run_workers(
    job: Job,
    workers: int,
    on_tick: Callable[[], Forecast],
    on_death: Callable[[], object],
    server: ForkServer | None = None,
) -> None:
    """Run worker processes on this machine until the study has no trial for them; a dead one is replaced.

    Each has the GPU that :func:`assign_gpus` gives it, and its replacement has the same.

    Args:
        job: For each worker.
        workers: How many.
        on_tick: Called about once a second; returns what is left to do.
        on_death: Called after a worker has died, to free its trial.
        server: What forks them, if anything; otherwise each begins as a fresh process.

    Raises:
        KeyboardInterrupt: After all workers have ended their trials.
        WriteFailed: After one of them could not write; the others have ended theirs too.
    """
    pool = WorkerPool(workers, on_tick)
    gpus, running, output = assign_gpus(job.config.device, workers), dict[int, WorkerProcess](), OutputRelay()

    def start() -> None:
        place = min(set(range(workers)) - running.keys())
        pipe = output.pipe()
        with _visible(gpus[place]):
            running[place] = _start(f"worker-{place}", job, pipe, server)
        if pipe is not None:
            pipe.close()  # the worker has the only end: when it ends, so do its lines

    try:
        for _ in range(workers):
            start()
        while True:
            pool.update()
            for place, process in [(place, process) for place, process in running.items() if not process.is_alive()]:
                del running[place]
                if process.exitcode == CANNOT_WRITE:
                    pool.stop_unwritable("see its error above")
                if process.exitcode != 0:
                    on_death()
                    pool.count_death(f"ended with exit code {process.exitcode}")
            for _ in range(pool.missing(len(running))):
                start()
            if pool.finished(len(running)):
                return
            if running:
                next(iter(running.values())).join(timeout=1.0)
            else:
                time.sleep(1.0)
    finally:
        _end([*running.values()])
        output.finish()


def _start(name: str, job: Job, pipe: Connection | None, server: ForkServer | None) -> WorkerProcess:
    """Start a worker's process, by the server where there is one and it still runs."""
    if server is not None and (forked := server.start(name, _worker, (job,), pipe)) is not None:
        return forked
    process = multiprocessing.get_context("spawn").Process(target=_worker, args=(job, pipe), name=name)
    # workers inherit it: a terminal's Ctrl-C reaches them too, and the driver ends them in order
    with _interrupts_ignored():
        process.start()
    return process


def assign_gpus(device: str, workers: int) -> list[str | None]:
    """Return the GPU of each worker of this machine, in turn, as ``CUDA_VISIBLE_DEVICES`` names it.

    Args:
        device: That of the experiment. With ``cpu``, and with ``cuda:N``, which names one GPU, none is assigned.
        workers: How many there are.

    Returns:
        One entry a worker; ``None`` where it has no GPU of its own.
    """
    if device not in ("auto", "cuda"):
        return [None] * workers
    import torch

    listed = os.environ.get(VISIBLE)
    if listed is None:
        gpus = [str(index) for index in range(torch.cuda.device_count())]
    else:  # indices, or names of GPUs or of parts of them; CUDA ignores what comes after a -1
        gpus = [*takewhile(lambda name: name not in ("", "-1"), (name.strip() for name in listed.split(",")))]
    return [gpus[worker % len(gpus)] if gpus else None for worker in range(workers)]


def work_until_terminated(job: Job) -> None:
    """Run :func:`work` in the main thread of a process of its own, which SIGTERM ends in order.

    Raises:
        KeyboardInterrupt: After SIGTERM, when the current trial was ended and queued again.
    """
    logs.show(job.log_level)
    signal.signal(signal.SIGTERM, _interrupt_once)
    interrupts.install()
    work(job)


def _worker(job: Job, pipe: Connection | None = None) -> None:
    write_to(pipe)
    try:
        work_until_terminated(job)
    except KeyboardInterrupt:
        # the trial was ended and queued again; a traceback would tell the user nothing
        sys.stdout.flush()
        os._exit(0)
    except MobilenetChestError as error:
        logger.error("%s", error)
        sys.exit(CANNOT_WRITE if isinstance(error, WriteFailed) else 1)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    interrupts.raise_interrupt(number, frame)


def _end(running: list[WorkerProcess]) -> None:
    for process in running:
        process.terminate()
        if hasattr(signal, "SIGCONT") and process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)  # a stopped process could not end
    deadline = time.monotonic() + END_SECONDS
    for process in running:
        process.join(timeout=max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


@contextmanager
def _visible(gpu: str | None) -> Iterator[None]:
    """Give processes that start within the block this GPU, before CUDA starts in them."""
    before = os.environ.get(VISIBLE)
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    try:
        yield
    finally:
        if before is not None:
            os.environ[VISIBLE] = before
        else:
            os.environ.pop(VISIBLE, None)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
