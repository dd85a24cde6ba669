"""The names of metrics in MLflow, whose pages group metrics by what is before the first slash.

Everywhere else metrics have flat names: ``val_auc`` in an experiment, in JSON and in a table.

- :func:`epoch_name` names a curve, which has a value for each epoch: ``val/auc``, ``train/loss``;
- :func:`result_name` names a single number: ``final/val_auc``, ``cost/parameters``, ``test/auc``;
- :func:`flat_name` is the way back. A flat name, as runs of early versions have them, is returned as it is.
"""

from __future__ import annotations

from functools import lru_cache

from mobilenet_chest.config.metrics import SCORES

CURVES = ("train", "val", "stress")
"""Groups of curves: the splits, and stressed copies of val."""

OF_EPOCHS = ("lr", "stage", "epoch_seconds", "images_per_second")
"""Metrics of an epoch that are of no split; they are in the group ``train``."""

RESULTS, COST = "final", "cost"
"""Groups of single numbers: results, and what they cost. Scores of a split without curves are in a group of its name:
the sealed one, which nothing that trains or selects names."""

COSTS = (
    "parameters", "parameters_stage1", "latency_1_ms", "latency_64_ms", "train_seconds", "saved_seconds",
    "file_bytes", "answer_1_ms", "answer_32_ms", "size_ratio", "zipped_ratio", "speed_ratio_1", "speed_ratio_32",
    "stage1_epochs_trained", "stage1_epochs_reused",
)  # fmt: skip
"""Single numbers in the group ``cost``."""


def epoch_name(name: str) -> str:
    """Return the name in MLflow of an epoch's metric: ``val/auc`` for ``val_auc``, ``train/lr`` for ``lr``."""
    if name in OF_EPOCHS:
        return f"train/{name}"
    split, _, score = name.partition("_")
    return f"{split}/{score}" if split in CURVES and score else name


def result_name(name: str) -> str:
    """Return the name in MLflow of a single number: ``final/val_auc`` for ``val_auc``; one with a slash stays."""
    if "/" in name:
        return name
    if name in COSTS:
        return f"{COST}/{name}"
    split, _, score = name.partition("_")
    return f"{split}/{score}" if split not in CURVES and score in SCORES else f"{RESULTS}/{name}"


@lru_cache(4096)  # hundreds of runs have the same names
def flat_name(stored: str) -> str:
    """Return the flat name of a metric that MLflow has: ``val_auc`` for ``val/auc``, ``final/val_auc`` and itself."""
    group, _, name = stored.partition("/")
    if not name:
        return stored
    if group in (RESULTS, COST) or (group == "train" and name in OF_EPOCHS):
        return name
    return f"{group}_{name}" if group in CURVES or name in SCORES else stored


@lru_cache(4096)
def precedence(stored: str) -> int:
    """Return which of several metrics with one flat name counts: the largest number.

    The run's result counts more than the last epoch, and both more than what an early version logged before the run was
    resumed.
    """
    if flat_name(stored) == stored:
        return 0
    return 1 if stored.partition("/")[0] in CURVES else 2
