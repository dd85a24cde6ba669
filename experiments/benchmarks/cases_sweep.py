"""A sweep of twenty configurations: the conventional study against ours, and the time until ours is as good."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import conventional
import optuna
from common import Case, Options, cache, cheap_fields, cold_cache, data_file, experiment, report, store
from measure import Json, SavedResults

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.sweep import SweepResult, SweepStatus, run_sweep
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.tracking.store import connect

STAGE1 = {"stage1.lr": [3e-4, 1e-3, 2e-3, 4e-3]}
STAGE2 = {"stage2.lr": [3e-5, 1e-4, 2e-4, 4e-4, 8e-4]}

CLOSE = 0.001
"""Sums in another order end in another AUC, so the time to a trial this near to the reference is reported, too."""


def sweep(options: Options, saved: SavedResults) -> Json:
    """Measure all configurations, each trained to its end, in one study after another."""
    config = _config(options)
    points = grid_points(config)[: options.trials]
    usual = reference(options, saved)
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
        done = _saved_sweep(config, options, saved, name, workers)
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
    epochs1, epochs2 = options.sweep_epochs
    return report(
        rows,
        f"{config.model.name}, weights {config.model.weights}, {options.rows} + {options.val_rows} rows at "
        f"{options.image_size} pixels, {epochs1} + {epochs2} epochs, no pruning",
        f"{len(points)} configurations of {' × '.join(config.search)}",
        "conventional: an Optuna study in memory that tracks nothing; ours: an empty cache at the start, Optuna and "
        "MLflow on SQLite, start and end included; the cores are shared out among the workers",
        "largest difference: of a configuration's best validation AUC, to the conventional study's",
        trial_records=trials,
    )


def time_to_best(options: Options, saved: SavedResults) -> Json:
    """Measure when a pruned sweep with cheaper fidelities has a trial as good as the best of the reference."""
    usual = reference(options, saved)
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
        done = _saved_sweep(config, options, saved, f"to best, {name}", workers)
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


def reference(options: Options, saved: SavedResults) -> list[conventional.Record]:
    """Run the conventional study, saved trial by trial; the two cases that need it share its results."""
    config = _config(options)
    shared = SavedResults(saved.path.parent, "sweep-reference", _reference_settings(options))
    # saved results stay when the case has ended: this is the longest measurement of all
    return run_study(
        config,
        grid_points(config)[: options.trials],  # the same points in the same order as the sweep
        on_trial=lambda record: shared.put(str(int(record["number"])), record),
        done=list(shared.results.values()),
        loader_workers=options.loader_workers,
    )


def run_study(
    config: Config,
    configurations: Sequence[Mapping[str, Any]],
    *,
    on_trial: Callable[[conventional.Record], object] | None = None,
    done: Iterable[conventional.Record] = (),
    loader_workers: int = 0,
) -> list[conventional.Record]:
    """Run an Optuna study over the given values. Each trial runs both stages; nothing is pruned.

    Args:
        config: The experiment around the values.
        configurations: ``{dotted path: value}``, each one trial.
        on_trial: Called with each new record.
        done: Records of an interrupted study of the same configurations, which are not run again.
        loader_workers: As for :func:`conventional.build`.

    Returns:
        For each trial ``number``, ``seconds`` and ``val_auc`` (best of all epochs), in order.
    """
    records = {int(record["number"]): record for record in done}
    todo = [number for number in range(len(configurations)) if number not in records]
    # in order and without repetition: Optuna wants the same choices in every trial
    space = {path: list(dict.fromkeys(values[path] for values in configurations)) for path in configurations[0]}
    data = conventional.read(config)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())

    def objective(trial: optuna.Trial) -> float:
        number = todo[trial.number]
        values = {path: trial.suggest_categorical(path, choices) for path, choices in space.items()}
        result = conventional.train_two_stage(with_values(config, values), data, loader_workers=loader_workers)
        best = max(record["val_auc"] for record in result.history)
        records[number] = {"number": number, "seconds": result.seconds, "val_auc": best}
        if on_trial is not None:
            on_trial(records[number])
        return best

    for number in todo:
        study.enqueue_trial(dict(configurations[number]))
    study.optimize(objective, n_trials=len(todo))
    return [records[number] for number in sorted(records)]


def sweep_rate(options: Options, workers: int) -> float:
    """Return the trials an hour of a tiny sweep."""
    epochs1, epochs2 = options.scaling_epochs
    path = data_file(options, options.scaling_rows[0], options.val_rows)
    study = {"trials": options.scaling_trials, "sampler": "random", "pruner": "none"}
    search = {"stage2.lr": {"low": 1e-5, "high": 1e-3, "log": True}}
    config = experiment(
        options, path, {"stage1.epochs": epochs1, "stage2.epochs": epochs2, "search": search, "study": study}
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
    epochs1, epochs2 = options.sweep_epochs
    fields = {
        "stage1.epochs": epochs1,
        "stage2.epochs": epochs2,
        "search": {path: {"choices": choices} for path, choices in (STAGE1 | STAGE2).items()},
        "study": _study(options, "grid", "none"),
        "tracking": {"keep_checkpoints": 1},
    }
    return experiment(options, data_file(options, options.rows, options.val_rows), fields | (values or {}))


def _saved_sweep(config: Config, options: Options, saved: SavedResults, name: str, workers: int) -> Json:
    """Run or resume a sweep in its own folder; its seconds are the sum of all its parts."""
    if isinstance(done := saved.results.get(name), dict) and "trials" in done:
        return done
    folder = Path(options.scratch) / f"{saved.path.stem}-{name.replace(' ', '-').replace(',', '').replace(':', '')}"
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
            saved.put(name, progress)

    progress = {**before, "curve": list(before["curve"])}
    with store(folder) as url, cache(folder / "cache"):
        started = time.perf_counter()
        result = run_sweep(config, workers=workers, storage=url, on_status=on_status)
        seconds = before["seconds"] + time.perf_counter() - started
    saved.put(name, {**progress, "seconds": seconds, "trials": _trials(result)})
    return saved.results[name]  # type: ignore[no-any-return]


def _trials(result: SweepResult) -> list[Json]:
    return [{"number": t.number, "state": t.state, "value": t.value, **t.params} for t in result.trials]


def _first(curve: list[Json], target: float) -> float | None:
    return next((point["seconds"] for point in curve if point["best"] >= target), None)


def _largest_difference(usual: list[conventional.Record], points: list[Json], trials: list[Json]) -> float:
    values = {tuple(trial[path] for path in points[0]): trial["value"] for trial in trials}
    pairs = zip(points, usual, strict=True)
    return float(max(abs(values[tuple(point.values())] - record["val_auc"]) for point, record in pairs))


CASES = {
    "sweep": Case(sweep, "twenty configurations without pruning: conventional study against ours"),
    "time_to_best": Case(time_to_best, "until a pruned, cheaper sweep is as good as the best of the reference"),
}
