"""Compare schedulers on the same random configurations, and count how often bands of learning curves hold.

``python experiments/simulations/schedulers.py --pneumonia FILE.npz --nih FILE.npz --out FOLDER`` runs a study of
twenty random trials on each of three sets of rows, three times: without a scheduler, with asha, and with freeze_thaw.
It prints the tables of ``experiments/results/schedulers.md``. After a kill, the same command continues.

The network has ImageNet weights (extra ``timm``). Nothing sees a test split: the files that it makes have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from leave_one_out import SEARCH, SETS, folder_of_sets
from optuna.trial import FrozenTrial

from mobilenet_chest import load, sweep
from mobilenet_chest.config import Config
from mobilenet_chest.sweep.freeze_thaw import begun_trials
from mobilenet_chest.sweep.learning_curves import Curve, CurveModel

USED = ("pneumonia-few", "phantom-few", "pneumonia-64")
SCHEDULERS = ("none", "asha", "freeze_thaw")
TRIALS, STAGE1, STAGE2 = 20, 2, 12

BAND_90 = 1.6449
"""Half the width of a band of 90% of a normal distribution, in standard deviations."""

CUTS = 5
"""How often the curves of a study are cut at random places."""


def experiment(folder: Path, name: str, scheduler: str) -> Config:
    """Return the experiment of a set with a scheduler; its trials have the same values with each."""
    return load(
        name=f"{name}-{scheduler}",
        data={"path": str(folder / f"{name}.npz"), "name": name, "classes": ["0", "1"], "image_size": SETS[name]},
        model={"name": "efficientnet_lite0", "weights": "imagenet", "hidden": []},
        optimizer={"batch_size": 32},
        stage1={"epochs": STAGE1},
        stage2={"epochs": STAGE2, "patience": None},
        tracking={"plots": False, "keep_checkpoints": 1},
        search=SEARCH,
        study={"trials": TRIALS, "sampler": "random", "pruner": "none", "scheduler": scheduler, "workers": 2},
    )


def run(folder: Path, name: str, scheduler: str) -> tuple[Config, list[FrozenTrial], float]:
    """Run or continue a study; return its experiment, its trials, and its best value."""
    config, storage = experiment(folder, name, scheduler), f"sqlite:///{folder / 'optuna.db'}"
    result = sweep(config, storage=storage)
    study = optuna.load_study(study_name=config.study_name, storage=storage)
    assert result.best.value is not None
    return config, study.get_trials(deepcopy=False), float(result.best.value)


def epochs_trained(trials: Sequence[FrozenTrial]) -> int:
    """Return the epochs of stage 2 of all trials, with or without an end."""
    done = [trial.user_attrs.get("epochs", {"done": 0})["done"] for trial in trials]
    return int(sum(max(0, each - STAGE1) for each in done))


def coverage(curves: Sequence[Curve], total: int, seed: int = 0) -> tuple[int, int]:
    """Cut whole curves at random; return how many later scores lie within 90% bands, and how many there are."""
    generator, inside, count = np.random.default_rng(seed), 0, 0
    for _ in range(CUTS):
        lengths = [int(generator.integers(1, len(curve.epochs))) for curve in curves]
        known = [
            curve._replace(epochs=curve.epochs[:length], scores=curve.scores[:length])
            for curve, length in zip(curves, lengths, strict=True)
        ]
        model = CurveModel(known, total)
        for epoch in sorted({epoch for curve in curves for epoch in curve.epochs}):
            later = [n for n, curve in enumerate(curves) if epoch in curve.epochs[lengths[n] :]]
            if later:
                predicted = model.predict([known[n] for n in later], epoch)
                truth = np.array([curves[n].scores[list(curves[n].epochs).index(epoch)] for n in later])
                inside += int((np.abs(truth - predicted.mean) <= BAND_90 * predicted.deviation).sum())
                count += len(later)
    return inside, count


def main() -> None:
    """Run the studies and print the tables."""
    folder = folder_of_sets(__doc__)
    bands: list[tuple[str, Any, Any]] = []
    print("| set | scheduler | epochs of stage 2 | complete trials | best validation AUC |\n|---|---|---|---|---|")
    for name in USED:
        for scheduler in SCHEDULERS:
            config, trials, best = run(folder, name, scheduler)
            complete = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in trials)
            print(f"| {name} | {scheduler} | {epochs_trained(trials)} | {complete} | {best:.4f} |", flush=True)
            if scheduler == "none":
                curves = [each.curve for each in begun_trials(trials, config)]
                bands.append((name, *coverage(curves, STAGE2)))
    print("\n| set | later scores within 90% bands | scores |\n|---|---|---|")
    for name, inside, count in bands:
        print(f"| {name} | {100 * inside / count:.1f}% | {count} |")


if __name__ == "__main__":
    main()
