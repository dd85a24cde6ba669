"""The one home of metric names: what each is called, in which direction it gets better, and how it is written.

A metric of predictions is named ``<split>_<score>``, such as ``val_auc`` or ``test_brier``; :data:`SCORES` has the
scores. All other metrics that a run or a study logs are in :data:`METRICS`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, Self, TypeVar, get_args

from mobilenet_chest import plugins
from mobilenet_chest.config.formats import count, duration, number

Direction = Literal["maximize", "minimize"]


class Signed(Protocol):
    """A number, or an array of numbers."""

    def __neg__(self) -> Self: ...


Value = TypeVar("Value", bound=Signed)

Format = Literal["number", "count", "seconds"]

EPOCH_METRICS = ("val_loss", "val_accuracy", "val_auc")
"""Known after every epoch: early stopping, the choice of the best epoch and pruning can use them."""

FINAL_METRICS = (
    *EPOCH_METRICS,
    "val_auc_tta",
    "val_accuracy_threshold",
    "val_accuracy_tta",
    "val_accuracy_tta_threshold",
    "val_accuracy_crossfit",
    "val_sensitivity",
    "val_specificity",
)
"""Known of a finished run: what a study can optimise."""


StressMetric = Literal["stress_auc_mean", "stress_auc_worst", "stress_accuracy_mean"]
"""Known after those epochs that ``evaluation.stress`` says, and of a finished run: on stressed copies of val."""

STRESS_METRICS: tuple[str, ...] = get_args(StressMetric)


def is_epoch_metric(name: str) -> bool:
    """Return whether a metric is known of epochs; those of plugins are."""
    return name in EPOCH_METRICS or name in STRESS_METRICS or plugins.may_be("metric", name)


CostMetric = Literal["latency_1_ms", "parameters", "train_seconds"]
"""Further objectives of a study, all to be minimised."""

SPLIT_WORDS = {"train": "training", "val": "validation"}
"""Prefix of a metric's name -> the split in words; any other split is its own word."""


class Metric(NamedTuple):
    """What is known of a metric by its name.

    Attributes:
        label: Its name in a sentence; ``{split}`` stands for the split's word.
        direction: In which direction it gets better; ``None`` where neither is better, as for a threshold.
        format: How :func:`formatted` writes it.
        heading: Its name above a narrow column, where ``{split}`` is the split's prefix; the label where none is given.
    """

    label: str
    direction: Direction | None = "maximize"
    format: Format = "number"
    heading: str | None = None


SCORES = {
    "auc": Metric("{split} AUC", heading="{split} AUC"),
    "auc_tta": Metric("{split} AUC with TTA", heading="{split} AUC, TTA"),
    "accuracy": Metric("{split} accuracy at 0.5", heading="{split} accuracy"),
    "accuracy_threshold": Metric("{split} accuracy at the threshold", heading="{split} threshold"),
    "accuracy_tta": Metric("{split} accuracy with TTA at 0.5", heading="{split} TTA"),
    "accuracy_tta_threshold": Metric("{split} accuracy with TTA at the threshold", heading="TTA + threshold"),
    "accuracy_crossfit": Metric("cross-fitted {split} accuracy", heading="cross-fitted"),
    "accuracy_crossfit_all": Metric(
        "{split} accuracy, epoch, TTA and threshold cross-fitted", heading="cross-fitted, all"
    ),
    "sensitivity": Metric("{split} sensitivity", heading="{split} sensitivity"),
    "specificity": Metric("{split} specificity", heading="{split} specificity"),
    "sensitivity_at_specificity_90": Metric("{split} sensitivity at a specificity of 0.90"),
    "sensitivity_at_specificity_95": Metric("{split} sensitivity at a specificity of 0.95"),
    "specificity_at_sensitivity_90": Metric("{split} specificity at a sensitivity of 0.90"),
    "specificity_at_sensitivity_95": Metric("{split} specificity at a sensitivity of 0.95"),
    "loss": Metric("{split} loss", "minimize", heading="{split} loss"),
    "ece": Metric("{split} ECE", "minimize", heading="{split} ECE"),
    "ece_bias": Metric("{split} ECE of a perfectly calibrated model", None, heading="{split} ECE by chance"),
    "brier": Metric("{split} Brier score", "minimize", heading="{split} Brier"),
    "log_loss": Metric("{split} log-loss", "minimize", heading="{split} log-loss"),
}
"""Metrics of a split's predictions, by their names without the split. Those of calibration also exist with
``_calibrated`` behind them: at the fitted temperature."""

STRESS_SCORES = {
    "auc_mean": Metric("mean AUC", heading="AUC"),
    "auc_worst": Metric("AUC of the worst family", heading="worst AUC"),
    "accuracy_mean": Metric("mean accuracy at 0.5", heading="accuracy"),
    "auc_loss": Metric("mean AUC lost to the clean images", "minimize", heading="AUC lost"),
    "accuracy_loss": Metric("mean accuracy lost to the clean images", "minimize", heading="accuracy lost"),
}
"""Metrics of stressed copies, by their names behind ``stress_`` and ``heldout_stress_``."""

_STRESS_ENDS = {
    f"{name}_{end}": Metric(f"{STRESS_SCORES[name].label}, {words} end of its 95% interval", None)
    for name in ("auc_mean", "accuracy_mean")
    for end, words in (("low", "lower"), ("high", "upper"))
}

METRICS = {
    **{
        f"{prefix}_{name}": metric._replace(
            label=f"{words} {metric.label}", heading=f"{words} {metric.heading or metric.label}"
        )
        for prefix, words in (("stress", "stress"), ("heldout_stress", "held-out stress"))
        for name, metric in (STRESS_SCORES | _STRESS_ENDS).items()
    },
    "threshold": Metric("threshold", None),
    "threshold_plain": Metric("threshold without TTA", None),
    "temperature": Metric("temperature", None),
    "tta_gain": Metric("gain in accuracy by TTA", heading="TTA gain"),
    "speed_ratio": Metric("speed ratio"),
    "best_epoch": Metric("best epoch", None, "count"),
    "stage1_best_val_accuracy": Metric("best validation accuracy of stage 1"),
    "stage2_best_val_accuracy": Metric("best validation accuracy of stage 2"),
    "best_member_val_auc": Metric("validation AUC of the best member"),
    "dropped_duplicates": Metric("training rows left out as duplicates", None, "count"),
    "parameters": Metric("parameters", "minimize", "count"),
    "parameters_stage1": Metric("parameters trained in stage 1", "minimize", "count"),
    "latency_1_ms": Metric("milliseconds for 1 image", "minimize", heading="ms, 1 image"),
    "latency_64_ms": Metric("milliseconds for 64 images", "minimize", heading="ms, 64 images"),
    "file_bytes": Metric("bytes of the ONNX file", "minimize", "count", "file bytes"),
    "answer_1_ms": Metric(
        "milliseconds for 1 image by the ONNX file, with TTA", "minimize", heading="file ms, 1 image"
    ),
    "answer_32_ms": Metric(
        "milliseconds for 32 images by the ONNX file, with TTA", "minimize", heading="file ms, 32 images"
    ),
    "size_ratio": Metric("size of the ONNX file, over its original's", "minimize", heading="size ratio"),
    "zipped_ratio": Metric("size of the zipped ONNX file, over its original's", "minimize", heading="zipped ratio"),
    "speed_ratio_1": Metric("original's time for 1 image, over this model's", heading="speed ratio, 1 image"),
    "speed_ratio_32": Metric("original's time for 32 images, over this model's", heading="speed ratio, 32 images"),
    "mean_change": Metric("mean change of probability by compression", "minimize", heading="mean change"),
    "train_seconds": Metric("training time", "minimize", "seconds", "training"),
    "saved_seconds": Metric("training time saved by sharing stage 1", "maximize", "seconds"),
    "stage1_epochs_trained": Metric("stage-1 epochs trained", "minimize", "count"),
    "stage1_epochs_reused": Metric("stage-1 epochs reused", "maximize", "count"),
    "epoch_seconds": Metric("time of an epoch", "minimize", "seconds"),
    "images_per_second": Metric("images per second"),
    "lr": Metric("learning rate", None),
    "stage": Metric("stage", None, "count"),
    "trials_complete": Metric("trials complete", None, "count"),
    "trials_pruned": Metric("trials pruned", None, "count"),
    "trials_fail": Metric("trials failed", None, "count"),
    "optimism": Metric("optimism of the search's best value", None),
    "optimism_low": Metric("optimism, lower end of its 95% interval", None),
    "optimism_high": Metric("optimism, upper end of its 95% interval", None),
}
"""Metrics of runs, epochs and studies that are no scores of predictions."""


SITE_SCORES = ("auc", "auc_tta", "accuracy_tta_threshold", "sensitivity", "specificity")
"""Metrics of a site that was left out, in the order in which they are shown."""

LONGEST_SITE = 60
"""Characters of a site's name in the names of its metrics."""


def site_prefixes(sites: Sequence[str]) -> tuple[str, ...]:
    """Return what the metrics of each site begin with: ``site-B`` for ``site-B_auc``.

    MLflow allows few signs in names and 250 at most, so others become hyphens and long names are cut; sites that would
    get one name get their numbers too.
    """
    names = [re.sub("[^A-Za-z0-9.]+", "-", site).strip("-")[:LONGEST_SITE] or "other" for site in sites]
    counts = Counter(names)
    # two hyphens stand in no name, so a number makes no name that another site has
    numbered = (name if counts[name] == 1 else f"{name}--{number}" for number, name in enumerate(names))
    return tuple(f"site-{name}" for name in numbered)


def describe(name: str) -> Metric:
    """Return what is known of a metric, its split in words; a name that is not known is its own label."""
    if name in METRICS:
        return METRICS[name]
    split, _, score = name.partition("_")
    plain = score.removesuffix("_calibrated")
    metric = SCORES.get(plain)
    if metric is None:
        return Metric(name)
    calibrated = "" if plain == score else ", calibrated"
    label_text = metric.label.format(split=SPLIT_WORDS.get(split, split))
    heading_text = (metric.heading or metric.label).format(split=split)
    return metric._replace(label=label_text + calibrated, heading=heading_text + calibrated)


def label(name: str) -> str:
    """Return a metric's name in a sentence: ``validation AUC`` for ``val_auc``."""
    return describe(name).label


def heading(name: str) -> str:
    """Return a metric's name above a narrow column: ``val AUC`` for ``val_auc``."""
    metric = describe(name)
    return metric.heading or metric.label


def formatted(name: str, value: float | None) -> str:
    """Return a value as tables have it: counts with commas, seconds as a duration, all else in four digits."""
    form = describe(name).format
    return count(value) if form == "count" else duration(value) if form == "seconds" else number(value)


def best_direction(metric: str) -> Direction:
    """Return the direction in which a metric gets better; ``maximize`` for one that is not known."""
    return describe(metric).direction or "maximize"


def as_score(value: Value, direction: Direction) -> Value:
    """Return a value, or an array of values, so that greater is better: negated where the metric gets better as it
    falls."""
    return value if direction == "maximize" else -value
