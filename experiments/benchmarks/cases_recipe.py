"""The whole recipe in several seeds on real data: what the cheaper fidelities of stage 2 cost and save."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import conventional
from cases_training import warm_up
from common import Case, Options, cheap_fields, cold_cache, data_file, experiment, report
from measure import Json, SavedResults, spread

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.two_stage import train


def recipe(options: Options, saved: SavedResults) -> Json:
    """Measure full against cheap training in each seed, and estimate the conventional time from a few epochs."""
    epochs1, epochs2 = options.recipe_epochs
    path = data_file(options, options.recipe_rows, 0)
    values: dict[str, Any] = {"stage1.epochs": epochs1, "stage2.epochs": epochs2, "model.stem": "mean"}
    base = experiment(options, path, values, "efficientnet_lite0", "imagenet")
    cheap = cheap_fields(options)
    variants: dict[str, dict[str, Any]] = {"full": {}, "cheap": cheap}
    if options.each and len(cheap) > 1:
        variants |= {f"{key.rpartition('.')[2]} alone": {key: value} for key, value in cheap.items()}
    rows: list[Json] = []
    warm_up(base)
    for seed in options.seeds:
        config = with_values(base, {"seed": seed})
        usual = saved.get(f"conventional, seed {seed}", partial(_epochs, config, options))
        full = saved.get(f"full, seed {seed}", partial(_training, config))
        usual_seconds = sum(full[f"epochs{stage}"] * usual[f"epoch{stage}"] for stage in (1, 2))
        rows.append({"variant": "conventional", "seed": str(seed), "seconds": usual_seconds})
        for variant, fields in variants.items():
            done = saved.get(f"{variant}, seed {seed}", partial(_training, with_values(config, fields)))
            rows.append(
                {
                    "variant": variant,
                    "seed": str(seed),
                    "seconds": done["seconds"],
                    "times_faster": usual_seconds / done["seconds"],
                    "val_auc": done["val_auc"],
                    "minus_full": done["val_auc"] - full["val_auc"],
                }
            )
    for variant in variants:
        of_variant = [row for row in rows if row["variant"] == variant]
        columns = [key for key in of_variant[0] if key not in ("variant", "seed")]
        median = {key: spread([row[key] for row in of_variant]) for key in columns}
        rows.append({"variant": variant, "seed": "median", **median})
    return report(
        rows,
        f"{base.model.name}, weights {base.model.weights}, stem mean, {options.image_size} pixels, "
        f"{options.recipe_rows} training rows, all validation rows, {epochs1} + {epochs2} epochs",
        f"cheap: {', '.join(f'{key}={value}' for key, value in cheap.items()) or 'the same as full'}",
        "ours: the whole of train() with an empty cache, each",
        f"conventional: the median of {options.measured_epochs} epochs of each stage after one that is not counted, "
        "times the epochs that 'full' ran; not trained to its end",
        raw=saved.results,
    )


def _training(config: Config) -> Json:
    with cold_cache():
        started = time.perf_counter()
        result = train(config)
        seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "val_auc": result.metrics["val_auc"],
        **{f"epochs{stage}": sum(record["stage"] == stage for record in result.history) for stage in (1, 2)},
        "history": [
            {key: record[key] for key in ("stage", "epoch_seconds", "train_loss", "val_auc")}
            for record in result.history
        ],
    }


def _epochs(config: Config, options: Options) -> Json:
    """Return the median seconds of an epoch of each stage."""
    count = options.measured_epochs + 1
    few = with_values(config, {f"stage{stage}.epochs": count for stage in (1, 2)} | {"stage2.warmup_epochs": 0})
    history = conventional.train_two_stage(few, conventional.read(few), loader_workers=options.loader_workers).history
    medians = {}
    for stage in (1, 2):
        seconds = [record["epoch_seconds"] for record in history if record["stage"] == stage]
        medians[f"epoch{stage}"] = spread(seconds[1:])["median"]
    return medians


CASES = {"recipe": Case(recipe, "the whole recipe, full against cheap, in several seeds", needs=("data",))}
