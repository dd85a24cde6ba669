"""Measure ``study.learn_from``: how many trials a study needs to be as good as the best of 20 random ones.

``python experiments/simulations/leave_one_out.py --pneumonia FILE.npz --nih FILE.npz --out FOLDER`` runs twenty random
trials on each of seven sets of rows, then a study on each that learns from those of the other six, and one that learns
from none. It prints the table of ``experiments/results/learning.md``. After a kill, the same command continues.

The network has ImageNet weights (extra ``timm``). Nothing sees a test split: the files that it makes have none.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet_chest import load, sweep
from mobilenet_chest.data import phantom
from mobilenet_chest.data.npz import NpzFile

Rows = dict[str, Any]

RANDOM_TRIALS, LEARNED_TRIALS = 20, 12

SEARCH = {
    "stage1.lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "optimizer.weight_decay": {"low": 1e-4, "high": 3e-1, "log": True},
    "model.dropout": {"low": 0.0, "high": 0.7},
}

SETS = {
    "pneumonia-32": 32, "pneumonia-64": 64, "pneumonia-few": 32, "phantom-32": 32, "phantom-64": 64, "phantom-few": 32,
    "nih": 64,
}  # fmt: skip
"""Name of each set of rows, and the side in pixels that the network sees."""


def part(images: np.ndarray, labels: np.ndarray, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of both classes, as many of each as far as there are any."""
    half = [np.flatnonzero(labels == label)[first // 2 : (first + count) // 2] for label in (0, 1)]
    rows = np.sort(np.concatenate(half))
    return images[rows], labels[rows].astype(np.uint8)


def sources(pneumonia: Path, nih: Path) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Return images and labels of train and val of each source of rows."""
    found: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {"pneumonia": {}, "nih": {}, "phantom": {}}
    drawn = phantom.generate(size=64, seed=7)
    for split in ("train", "val"):
        for name, path in (("pneumonia", pneumonia), ("nih", nih)):
            file = NpzFile(path)
            images, labels = file.rows(split, np.arange(file.row_count(split))), file.labels(split)
            # of the NIH's labels that of the enlarged heart: each row has it, or a pneumothorax
            found[name][split] = images, labels[:, phantom.CARDIOMEGALY if name == "nih" else 0]
        found["phantom"][split] = drawn[f"{split}_images"], drawn[f"{split}_labels"][:, phantom.CARDIOMEGALY]
    return found


def write_sets(folder: Path, pneumonia: Path, nih: Path) -> None:
    """Write the files of the sets that are not there yet."""
    found = sources(pneumonia, nih)
    for number, name in enumerate(SETS):
        target = folder / f"{name}.npz"
        if target.is_file():
            continue
        source = found[name.partition("-")[0]]
        counts = {"train": 80 if name.endswith("few") else 200, "val": 150}
        arrays = {}
        for split, count in counts.items():
            # sets of one source share no row, but for its val, which is not larger
            first = 0 if split == "val" or name == "nih" else 250 * (number % 3)
            arrays[f"{split}_images"], arrays[f"{split}_labels"] = part(*source[split], first, count)
        np.savez_compressed(target, **arrays)


def experiment(folder: Path, name: str, kind: str, trials: int) -> Any:
    """Return the experiment of a set: ``random``, ``learned`` from the others' random trials, or ``plain``."""
    others = [f"{other}-random" for other in SETS if other != name]
    study = {"trials": trials, "sampler": "random" if kind == "random" else "tpe", "pruner": "none",
             "learn_from": others if kind == "learned" else [], "workers": 2 if kind == "random" else 1}  # fmt: skip
    return load(
        name=f"{name}-{kind}",
        data={"path": str(folder / f"{name}.npz"), "name": name, "classes": ["0", "1"], "image_size": SETS[name]},
        model={"name": "efficientnet_lite0", "weights": "imagenet", "hidden": []},
        optimizer={"batch_size": 32},
        stage1={"epochs": 2},
        stage2={"epochs": 3, "patience": None},
        tracking={"plots": False, "keep_checkpoints": 0},
        search=SEARCH,
        study=study,
    )


def values(folder: Path, name: str, kind: str, trials: int) -> list[float]:
    """Return the metric of each trial of a study, in order; the study is run or continued first."""
    result = sweep(experiment(folder, name, kind, trials), storage=f"sqlite:///{folder / 'optuna.db'}")
    return [float(trial.value) for trial in sorted(result.trials, key=lambda each: each.number)]


def needed(reached: list[float], target: float) -> int:
    """Return how many trials it took to be as good as a target; one more than there are where none is."""
    return next((count for count, value in enumerate(reached, 1) if value >= target), len(reached) + 1)


def folder_of_sets(description: str | None) -> Path:
    """Read the command line of a script about these sets; write their files, and return the folder that has them."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--pneumonia", "--nih", "--out"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write_sets(options.out, options.pneumonia, options.nih)
    return Path(options.out)


def main() -> None:
    """Run the studies and print the table."""
    folder = folder_of_sets(__doc__)
    best = {name: max(values(folder, name, "random", RANDOM_TRIALS)) for name in SETS}
    counts: dict[str, list[int]] = {"learned": [], "plain": []}
    print("| set | best of 20 random trials | trials until as good, learned | learned from none |\n|---|---|---|---|")
    for name in SETS:
        for kind, found in counts.items():
            found.append(needed(values(folder, name, kind, LEARNED_TRIALS), best[name]))
        print(f"| {name} | {best[name]:.4f} | {counts['learned'][-1]} | {counts['plain'][-1]} |", flush=True)
    print(f"| median | | {statistics.median(counts['learned'])} | {statistics.median(counts['plain'])} |")


if __name__ == "__main__":
    main()
