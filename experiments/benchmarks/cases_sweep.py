"""A sweep of twenty configurations: the conventional study against ours, and the time until ours is as good."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import conventional
from common import Case, Options, cache, cheap_fields, cold_cache, data_file, experiment, report, store
from measure import Json, Ledger

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import SweepResult, SweepStatus, run_sweep
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.tracking.store import connect

STAGE1 = {"stage1.lr": [3e-4, 1e-3, 2e-3, 4e-3]}
STAGE2 = {"stage2.lr": [3e-5, 1e-4, 2e-4, 4e-4, 8e-4]}

CLOSE = 0.001
"""Sums in another order end in another AUC: a best trial this near to the reference's is told as well."""


def sweep(options: Options, ledger: Ledger) -> Json:
    """All configurations, each trained to its end, one study after another."""
    config = _config(options)
    points = grid_points(config)[: options.trials]
    usual = reference(options, ledger)
    rows: list[Json] = [
        {
            "variant": "conventional",
            "seconds": sum(record["seconds"] for record in usual),
            "trials": len(usual),
            "best_val_auc": max(record["val_auc"] for record in usual),
        }
    ]
    trials = {"conventional": [point | record for point, record in zip(points, usual, strict=True)]}
    for workers in options.workers:
        name = f"ours, workers: {workers}"
        done = _kept_sweep(config, options, ledger, name, workers)
        trials[name] = done["trials"]
        rows.append(
            {
                "variant": name,
                "seconds": done["seconds"],
                "trials": len(done["trials"]),
                "best_val_auc": max(trial["value"] for trial in done["trials"]),
                "times_faster": rows[0]["seconds"] / done["seconds"],
                "largest_difference": _largest_difference(usual, points, done["trials"]),
            }
        )
    one, two = options.sweep_epochs
    return report(
        rows,
        f"{config.model.name}, weights {config.model.weights}, {options.rows} + {options.val_rows} rows at "
        f"{options.image_size} pixels, {one} + {two} epochs, no pruning",
        f"{len(points)} configurations of {' × '.join(config.search)}",
        "conventional: an Optuna study in memory that tracks nothing; ours: an empty cache at the start, Optuna and "
        "MLflow on SQLite, starting and ending included; the cores are shared out among the workers",
        "largest difference: of a configuration's best validation AUC, to the conventional study's",
        trial_records=trials,
    )


def time_to_best(options: Options, ledger: Ledger) -> Json:
    """Ours with pruning and the cheaper fidelities: when it has a trial as good as the best of the reference."""
    usual = reference(options, ledger)
    target = max(record["val_auc"] for record in usual)
    first = next(number for number, record in enumerate(usual) if record["val_auc"] == target)
    rows: list[Json] = [
        {
            "variant": "conventional",
            "seconds_in_all": sum(record["seconds"] for record in usual),
            "best_val_auc": target,
            "seconds_to_reference_best": sum(record["seconds"] for record in usual[: first + 1]),
        }
    ]
    cheap = cheap_fields(options)
    config = _config(options, cheap | {"study": _study(options, options.cheap_sampler, options.cheap_pruner)})
    curves = {}
    for workers in options.workers:
        name = f"ours, workers: {workers}"
        done = _kept_sweep(config, options, ledger, f"to best, {name}", workers)
        curve = curves[name] = done["curve"]
        rows.append(
            {
                "variant": name,
                "seconds_in_all": done["seconds"],
                "best_val_auc": max((point["best"] for point in curve), default=None),
                "seconds_to_reference_best": _first(curve, target),
                f"seconds_to_within_{CLOSE}": _first(curve, target - CLOSE),
                "times_faster_in_all": rows[0]["seconds_in_all"] / done["seconds"],
            }
        )
    return report(
        rows,
        f"cheap: {', '.join(f'{key}={value}' for key, value in cheap.items()) or 'nothing'}; sampler "
        f"{options.cheap_sampler}, pruner {options.cheap_pruner}, {options.trials} trials",
        "seconds to reference best: until a complete trial's validation AUC is at least the reference's best of all; "
        "empty: never. Seen once a second",
        curves=curves,
    )


def reference(options: Options, ledger: Ledger) -> list[conventional.Record]:
    """The conventional study, kept trial by trial, also from one of the two cases that need it to the other."""
    config = _config(options)
    shared = Ledger(ledger.path.parent, "sweep-reference", _reference_settings(options))
    # kept on purpose when the case has ended: the longest measurement of all
    return conventional.run_study(
        config,
        grid_points(config)[: options.trials],  # those that the sweep queues, in its order
        on_trial=lambda record: shared.put(str(int(record["number"])), record),
        done=list(shared.done.values()),
        loader_workers=options.loader_workers,
    )


def sweep_rate(options: Options, workers: int) -> float:
    """Trials an hour of a tiny sweep."""
    one, two = options.scaling_epochs
    path = data_file(options, options.scaling_rows[0], options.val_rows)
    study = {"trials": options.scaling_trials, "sampler": "random", "pruner": "none"}
    search = {"stage2.lr": {"low": 1e-5, "high": 1e-3, "log": True}}
    config = experiment(
        options, path, {"stage1.epochs": one, "stage2.epochs": two, "search": search, "study": study}
    )  # fmt: skip
    with cold_cache() as folder, store(folder / "store") as url:
        connect()  # makes MLflow's database, which takes as long as several tiny trials
        started = time.perf_counter()
        run_sweep(config, workers=workers, storage=url)
        return 3600 * float(options.scaling_trials) / (time.perf_counter() - started)


def _reference_settings(options: Options) -> Json:
    names = ("data", "rows", "val_rows", "stored_size", "image_size", "model", "weights", "sweep_epochs", "trials",
             "loader_workers")  # fmt: skip
    return {name: str(getattr(options, name)) for name in names} | STAGE1 | STAGE2


def _study(options: Options, sampler: str, pruner: str) -> Json:
    return {"trials": options.trials, "sampler": sampler, "pruner": pruner, "metric": "val_auc"}


def _config(options: Options, values: dict[str, Any] | None = None) -> Config:
    one, two = options.sweep_epochs
    fields = {
        "stage1.epochs": one,
        "stage2.epochs": two,
        "search": {path: {"choices": choices} for path, choices in (STAGE1 | STAGE2).items()},
        "study": _study(options, "grid", "none"),
        "tracking": {"keep_checkpoints": 1},
    }
    return experiment(options, data_file(options, options.rows, options.val_rows), fields | (values or {}))


def _kept_sweep(config: Config, options: Options, ledger: Ledger, name: str, workers: int) -> Json:
    """Run, or go on with, a sweep in a folder of its own; its seconds are those of all its parts."""
    if isinstance(done := ledger.done.get(name), dict) and "trials" in done:
        return done
    folder = Path(options.scratch) / f"{ledger.path.stem}-{name.replace(' ', '-').replace(',', '').replace(':', '')}"
    if done is None:
        shutil.rmtree(folder, ignore_errors=True)  # a finished study of an earlier measurement
    before = done or {"seconds": 0.0, "curve": [], "finished": 0}

    def on_status(status: SweepStatus) -> None:
        now = before["seconds"] + status.seconds
        best = status.best.value if status.best is not None else None
        curve: list[Json] = progress["curve"]
        finished = sum(status.states.values())
        if best is not None and (not curve or curve[-1]["best"] != best):
            curve.append({"seconds": now, "best": best})
        if finished != progress["finished"]:
            progress.update(seconds=now, finished=finished)
            ledger.put(name, progress)

    progress = {**before, "curve": list(before["curve"])}
    with store(folder) as url, cache(folder / "cache"):
        started = time.perf_counter()
        result = run_sweep(config, workers=workers, storage=url, on_status=on_status)
        seconds = before["seconds"] + time.perf_counter() - started
    ledger.put(name, {**progress, "seconds": seconds, "trials": _trials(result)})
    return ledger.done[name]  # type: ignore[no-any-return]


def _trials(result: SweepResult) -> list[Json]:
    return [{"number": t.number, "state": t.state, "value": t.value, **t.params} for t in result.trials]


def _first(curve: list[Json], target: float) -> float | None:
    return next((point["seconds"] for point in curve if point["best"] >= target), None)


def _largest_difference(usual: list[conventional.Record], points: list[Json], trials: list[Json]) -> float:
    own = {tuple(trial[path] for path in points[0]): trial["value"] for trial in trials}
    pairs = zip(points, usual, strict=True)
    return float(max(abs(own[tuple(point.values())] - record["val_auc"]) for point, record in pairs))


CASES = {
    "sweep": Case(sweep, "twenty configurations without pruning: conventional study against ours"),
    "time_to_best": Case(time_to_best, "until a pruned, cheaper sweep is as good as the best of the reference"),
}
