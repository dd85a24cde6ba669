"""Costs of the study, the tracker and the command line beside training."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy
import typer
from common import CACHE, ROOT, Case, Options, data_file, environment, experiment, report, store
from measure import Json, SavedResults, interleaved, spread, timed

from mobilenet_chest.cli.app import app
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.sweep.claims import claim
from mobilenet_chest.sweep.local_workers import open_study
from mobilenet_chest.sweep.space import to_optuna
from mobilenet_chest.sweep.storage import LOCK_SECONDS
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.tracking.tracker import MlflowTracker

EPOCH_SECONDS = 5.0
EPOCHS = 150
RECORD = {
    "train_loss": 0.5, "train_accuracy": 0.8, "val_loss": 0.5, "val_accuracy": 0.8, "val_auc": 0.9, "lr": 1e-3,
    "epoch_seconds": 5.0, "images_per_second": 90.0, "stage": 2.0,
}  # fmt: skip
SEARCH = {
    "stage1.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "stage2.lr": {"low": 1e-5, "high": 1e-3, "log": True},
    "model.dropout": {"low": 0.3, "high": 0.7},
    "optimizer.weight_decay": {"low": 1e-3, "high": 1e-1, "log": True},
    "loss.name": {"choices": ["bce", "focal"]},
}


def tracking(options: Options, saved: SavedResults) -> Json:
    """Measure the cost of an epoch of a trial: a batch of metrics, a report, the decision of the pruner."""
    config = _searching(options, trials=1000)
    steps: dict[str, list[float]] = {"log_metrics": [], "report": [], "should_prune": []}
    with tempfile.TemporaryDirectory(prefix="benchmark-store-") as folder, store(Path(folder)) as url:
        study = open_or_create(config, url)
        _fill(study, config, url, count=20, reports=EPOCHS)
        claimed = claim(study, config, url)
        assert claimed is not None
        trial, values = claimed
        tracker = MlflowTracker("trial", name="benchmark")
        tracker.start(with_values(config, values), load_train_val(config.data))
        for epoch in range(1, options.repeats + 1):
            steps["log_metrics"].append(timed(partial(tracker.log_history, [RECORD], epoch)))
            steps["report"].append(timed(partial(trial.report, RECORD["val_auc"], epoch)))
            steps["should_prune"].append(timed(trial.should_prune))
    steps["all of them"] = [sum(parts) for parts in zip(*list(steps.values()), strict=True)]
    rows = [
        {
            "step": name,
            "milliseconds": spread([1000 * second for second in seconds]),
            "percent_of_epoch": 100 * float(np.median(seconds)) / EPOCH_SECONDS,
        }
        for name, seconds in steps.items()
    ]
    return report(
        rows,
        f"{options.repeats} epochs of a trial, MLflow and Optuna on SQLite, 20 finished trials of {EPOCHS} epochs in "
        f"the study, pruner {config.study.pruner}; an epoch taken as {EPOCH_SECONDS:g} s",
    )


def startup(options: Options, saved: SavedResults) -> Json:
    """Measure the wall time of ``--help`` of each command and of the quickstart's dry run."""
    with tempfile.TemporaryDirectory(prefix="benchmark-startup-") as text:
        folder = Path(text)
        commands = {f"{' '.join(words)} --help": ["-m", "mobilenet_chest", *words, "--help"] for words in _commands()}
        commands |= {f"{name}.py --help": [str(ROOT / f"{name}.py"), "--help"] for name in ("sweep", "train")}
        if options.quick:
            commands = dict(list(commands.items())[-1:])
        actions = {name: _process(words, folder, folder / "cache") for name, words in commands.items()}
        dry_run = [str(ROOT / "sweep.py"), "--dry-run"]
        actions["sweep.py --dry-run, cold cache"] = _process(dry_run, folder, None)
        _process(dry_run, folder, folder / "cache")()
        actions["sweep.py --dry-run, warm cache"] = _process(dry_run, folder, folder / "cache")
        rounds = interleaved(actions, options.rounds, saved)
    rows = [{"command": name, "seconds": spread(seconds)} for name, seconds in rounds.items()]
    return report(rows, "each in a new process, files in the disk cache of the system")


def ask_tell(options: Options, saved: SavedResults) -> Json:
    """Measure the time of claiming a trial and of telling its value, by finished trials in the study."""
    sizes = options.finished_trials
    config = _searching(options, trials=10 * max(sizes))
    rows: list[Json] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-store-") as folder, store(Path(folder)) as url:
        open_or_create(config, url)
        for size in sizes:
            study = open_study(config, url)
            _fill(study, config, url, size - len(study.get_trials(deepcopy=False)), options.reports)
            fresh = open_study(config, url)  # as in a new worker: nothing is read yet
            first = timed(partial(_ask_and_tell, fresh, config, url))
            pairs = [_ask_and_tell(fresh, config, url) for _ in range(min(options.repeats, max(3, size // 2)))]
            rows.append(
                {
                    "finished_trials": size,
                    "ask_ms": spread([1000 * ask for ask, _ in pairs]),
                    "tell_ms": spread([1000 * tell for _, tell in pairs]),
                    "first_in_a_worker_ms": 1000 * first,
                }
            )
    picture = Path(options.out) / "ask_tell.png"
    _plot(rows, picture)
    return report(
        rows,
        f"sampler TPE over {len(SEARCH)} fields, SQLite, {options.reports} reports in each finished trial; filled with "
        "finished trials, not trained ones",
        "ask: claim(), which counts, asks and samples under the storage's lock; first: with the reading of the study",
        f"plot: {picture.name}",
    )


def _searching(options: Options, trials: int) -> Config:
    study = {"trials": trials, "sampler": "tpe", "pruner": "median"}
    return experiment(options, data_file(options, 40, 20), {"search": SEARCH, "study": study})


def _ask_and_tell(study: optuna.Study, config: Config, url: str) -> tuple[float, float]:
    started = time.perf_counter()
    claimed = claim(study, config, url)
    asked = time.perf_counter()
    assert claimed is not None
    study.tell(claimed[0], 0.9)
    return asked - started, time.perf_counter() - asked


def _fill(study: optuna.Study, config: Config, url: str, count: int, reports: int) -> None:
    """Add finished trials at random points, through a connection that does not wait for the disk."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}})
    storage.engine.dispose()
    sqlalchemy.event.listen(storage.engine, "connect", _without_waiting)
    unsafe = optuna.load_study(study_name=study.study_name, storage=storage)
    unsafe.add_trials(_finished(config, count, reports))
    storage.engine.dispose()


def _without_waiting(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def _finished(config: Config, count: int, reports: int) -> Iterator[optuna.trial.FrozenTrial]:
    generator = np.random.default_rng(config.seed)
    distributions = {path: to_optuna(path, distribution) for path, distribution in config.search.items()}
    for _ in range(count):
        params: dict[str, Any] = {}
        for path, distribution in config.search.items():
            if distribution.choices is not None:
                params[path] = distribution.choices[int(generator.integers(len(distribution.choices)))]
            else:
                assert distribution.low is not None
                assert distribution.high is not None
                params[path] = float(generator.uniform(distribution.low, distribution.high))
        value = float(generator.uniform(0.7, 0.95))
        yield optuna.create_trial(
            params=params,
            distributions=distributions,
            value=value,
            intermediate_values=dict.fromkeys(range(1, reports + 1), value),
            user_attrs={"run_id": "0" * 32},
        )


def _commands() -> list[list[str]]:
    """Return the words of the program itself and of each of its commands."""
    program = typer.main.get_command(app)
    commands: list[list[str]] = [[]]
    for name, command in getattr(program, "commands", {}).items():
        commands += [[name, inner] for inner in getattr(command, "commands", ())] or [[name]]
    return commands


def _process(words: list[str], folder: Path, cache: Path | None) -> Any:
    def run() -> float:
        with tempfile.TemporaryDirectory(prefix="benchmark-cache-") as empty:
            variables = {CACHE: str(cache or empty), "PYTHONPATH": str(ROOT)}
            with environment(**variables):
                started = time.perf_counter()
                done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
                seconds = time.perf_counter() - started
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} failed with {done.returncode}: {done.stderr[-2000:]}")
        return seconds

    return run


def _plot(rows: list[Json], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = [row["finished_trials"] for row in rows]
    figure, axes = pyplot.subplots(figsize=(6, 4))
    for key, name in (("ask_ms", "ask and sample"), ("tell_ms", "tell")):
        medians = [row[key]["median"] for row in rows]
        errors = [
            [row[key]["median"] - row[key]["min"] for row in rows],
            [row[key]["max"] - row[key]["median"] for row in rows],
        ]
        axes.errorbar(sizes, medians, yerr=errors, marker="o", capsize=3, label=name)
    axes.plot(sizes, [row["first_in_a_worker_ms"] for row in rows], "o--", label="first in a worker")
    axes.set(xscale="log", yscale="log", xlabel="finished trials in the study", ylabel="milliseconds")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


CASES = {
    "tracking": Case(tracking, "an epoch's metrics, report and pruning decision"),
    "startup": Case(startup, "--help of each command, and the quickstart's dry run"),
    "ask_tell": Case(ask_tell, "claiming and telling a trial, by finished trials in the study"),
}
