"""Speed of the two stages against the conventional reference, and how a trial's time grows."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import conventional
from cases_sweep import sweep_rate
from common import Case, Options, cold_cache, data_file, experiment, report
from measure import Json, SavedResults, interleaved, ratios, spread, timed

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.training.memory import keep_freed_memory
from mobilenet_chest.training.progress import Progress
from mobilenet_chest.training.stages import prepare, train_stage1
from mobilenet_chest.two_stage import train

NUDGE = 1.01
"""Factor on stage 1's learning rate: another stage-1 result, from the same features of the backbone."""


def stage1(options: Options, saved: SavedResults) -> Json:
    """Measure the frozen stage: conventional, and ours with an empty cache, with features and with the result in it."""
    epochs, measured = options.stage1_epochs, min(options.measured_epochs, options.stage1_epochs)
    config = experiment(
        options,
        data_file(options, options.rows, options.val_rows),
        {"stage1.epochs": epochs, "stage2.epochs": 0},
    )
    nudged = with_values(config, {"stage1.lr": config.stage1.lr * NUDGE})
    reference = with_values(config, {"stage1.epochs": measured + 1})
    arrays = conventional.read(config)

    def usual() -> Json:
        history = conventional.train_two_stage(reference, arrays, loader_workers=options.loader_workers).history[1:]
        return {"usual": sum(record["epoch_seconds"] for record in history) * epochs / len(history)}

    def ours() -> Json:
        with cold_cache():
            cold = _timed_stage1(config)
            warm = _timed_stage1(nudged)
            again = _timed_stage1(nudged)
        return {"cold": cold[0], "warm": warm[0], "again": again[0], "val_auc": cold[1], "val_auc_warm": warm[1]}

    warm_up(config)
    rounds = interleaved({"conventional": usual, "ours": ours}, options.rounds, saved)
    usual_seconds = [measured["usual"] for measured in rounds["conventional"]]
    rows = [{"variant": "conventional", "seconds": spread(usual_seconds), "times_faster": None}]
    for key, name in (("cold", "cold cache"), ("warm", "features cached"), ("again", "stage-1 result cached")):
        seconds = [measured[key] for measured in rounds["ours"]]
        rows.append(
            {"variant": f"ours, {name}", "seconds": spread(seconds), "times_faster": ratios(usual_seconds, seconds)}
        )
    return report(
        rows,
        f"{epochs} frozen epochs over {options.rows} + {options.val_rows} rows at {options.image_size} pixels",
        f"conventional: {measured} epochs in each round after one that is not counted, times {epochs}/{measured}; "
        "epochs alone",
        "ours: the whole stage, with computing or finding the features and keeping the result; building the network "
        "and predicting the best epoch left out on both sides",
        f"features cached: the same network and data, stage1.lr times {NUDGE}, so its stage-1 result is not cached",
        raw=rounds,
    )


def stage2(options: Options, saved: SavedResults) -> Json:
    """Measure fine-tuning: images a second of the training part of an epoch, and seconds of a whole epoch."""
    epochs = options.measured_epochs + 1
    config = experiment(
        options,
        data_file(options, options.rows, options.val_rows),
        {"stage1.epochs": 0, "stage2.epochs": epochs},
    )
    arrays = conventional.read(config)

    def usual() -> Json:
        return _rates(conventional.train_two_stage(config, arrays, loader_workers=options.loader_workers).history)

    def ours(chosen: Config) -> Callable[[], Json]:
        def run() -> Json:
            with cold_cache():
                return _rates(train(chosen).history)

        return run

    actions = {"conventional": usual, "ours": ours(config)}
    for block in options.unfreeze_from:
        actions[f"ours, from block {block}"] = ours(with_values(config, {"stage2.unfreeze_from": block}))
    rounds = interleaved(actions, options.rounds, saved)
    base = [measured["images_per_second"] for measured in rounds["conventional"]]
    base_epoch = [measured["epoch_seconds"] for measured in rounds["conventional"]]
    rows = []
    for name in actions:
        rate = [measured["images_per_second"] for measured in rounds[name]]
        seconds = [measured["epoch_seconds"] for measured in rounds[name]]
        rows.append(
            {
                "variant": name,
                "images_per_second": spread(rate),
                "times_faster": None if name == "conventional" else ratios(rate, base),
                "epoch_seconds": spread(seconds),
                "epoch_times_faster": None if name == "conventional" else ratios(base_epoch, seconds),
            }
        )
    return report(
        rows,
        f"{options.rows} rows at {options.image_size} pixels, batch {config.optimizer.batch_size}, "
        f"accumulation {config.optimizer.accumulation}, float32 on both sides",
        f"median of {epochs - 1} epochs in each round, after one that is not counted",
        "images a second: the training part; epoch seconds: with validation",
        raw=rounds,
    )


def scaling(options: Options, saved: SavedResults) -> Json:
    """Measure the time of a trial by rows and by image size, and trials an hour by workers."""
    epochs1, epochs2 = options.scaling_epochs
    size = options.image_size
    actions: dict[str, Callable[[], Any]] = {}
    sizes = {name: int(size * share) for name, share in (("half", 0.5), ("three quarters", 0.75), ("full", 1.0))}
    points = [(rows, size) for rows in options.scaling_rows]
    points += [(options.scaling_rows[1], other) for other in sizes.values() if other != size]
    epochs = {"stage1.epochs": epochs1, "stage2.epochs": epochs2}
    for rows, side in points:
        path = data_file(options, rows, options.val_rows)
        config = experiment(options, path, epochs | {"data.image_size": side})
        actions[f"{rows} rows, {side} pixels"] = _cold_training(config)
    warm_up(config)
    rounds = interleaved(actions, options.rounds, saved)
    rows_out: list[Json] = []
    for (rows, _), (name, seconds) in zip(points, rounds.items(), strict=True):
        per_row = [1000 * each / rows for each in seconds]
        rows_out.append({"trial": name, "seconds": spread(seconds), "milliseconds_per_row": spread(per_row)})
    sweeps = interleaved(
        {str(workers): partial(sweep_rate, options, workers) for workers in options.workers},
        min(options.rounds, 3),
        saved,
    )
    for workers, rates in sweeps.items():
        rows_out.append({"trial": f"sweep, workers: {workers}", "trials_per_hour": spread(rates)})
    return report(
        rows_out,
        f"a trial: {epochs1} + {epochs2} epochs with {options.val_rows} validation rows, cold cache",
        f"sweeps: {options.scaling_trials} trials of {options.scaling_rows[0]} rows, cold cache, starting and ending "
        "included; the cores are shared out among the workers",
        raw=rounds | sweeps,
    )


def warm_up(config: Config) -> None:
    """Train for an epoch that is not counted: the first one loads libraries and starts threads."""
    one_epoch = {"stage1.epochs": min(config.stage1.epochs, 1), "stage2.epochs": min(config.stage2.epochs, 1)}
    with cold_cache():
        train(with_values(config, one_epoch | {"stage2.warmup_epochs": 0}))


def _cold_training(config: Config) -> Callable[[], float]:
    def run() -> float:
        with cold_cache():
            return timed(lambda: train(config))

    return run


def _timed_stage1(config: Config) -> tuple[float, float]:
    prepared, progress = prepare(config), Progress()
    keep_freed_memory()
    seconds = timed(lambda: train_stage1(config, prepared, progress, lambda record: False))
    return seconds, progress.best_value


def _rates(history: list[dict[str, float]]) -> Json:
    """Return medians over the epochs but the first, in which torch warms up."""
    counted = history[1:]
    return {key: statistics.median(record[key] for record in counted) for key in ("images_per_second", "epoch_seconds")}


CASES = {
    "stage1": Case(stage1, "frozen stage: conventional against cold and warm cache"),
    "stage2": Case(stage2, "full fine-tuning: images a second, conventional against ours"),
    "scaling": Case(scaling, "a trial's time by rows, image size and workers"),
}
