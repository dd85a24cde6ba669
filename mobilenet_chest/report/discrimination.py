"""ROC and precision-recall curves: how well the probabilities of a run tell the classes apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.bootstrap import bootstrap
from mobilenet_chest.evaluation.curves import (
    DRAWS,
    GRID,
    Band,
    average_precision,
    bootstrap_band,
    precision_recall,
    roc,
)
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.report.axes import Axes, PlotPoints, drawing
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Figure, Figures, Shape
from mobilenet_chest.tracking.runs import rows_digest

READ_AT = (5, 10, 20, 50, 80)
"""Places in the grid of a curve that its description reads out."""


def drawn_baseline(leader: RunDetails, baseline: RunDetails | None) -> tuple[RunDetails | None, str | None]:
    """Return the baseline if its curves may be drawn beside the leader's; otherwise ``None`` and why not."""
    if baseline is None or leader.run_id == baseline.run_id:
        return None, None
    digests = [rows_digest(run.run) for run in (leader, baseline)]
    if digests[0] != digests[1] or not np.array_equal(leader.rows, baseline.rows):
        return None, (
            f"The curves of the baseline {baseline.name} are not drawn: it was scored on other images (digests "
            f"{digests[0]} and {digests[1]})."
        )
    return baseline, None


def curves(run: RunDetails, baseline: RunDetails | None) -> Figures:
    """Return ROC and precision-recall curves with bootstrap bands.

    Args:
        run: The run.
        baseline: A run that was scored on the same images, drawn as a second line.
    """
    patients = "" if run.scored.clusters is None else ", patients drawn whole"
    how = (
        f"Probabilities with TTA, {run.images_scored}. The band holds 95% of {DRAWS:,} bootstrap draws at each point, "
        f"stratified by class{patients}. The dashed line is chance"
    )
    return Figures([_roc(run, baseline, how), _precision_recall(run, baseline, how)])


def _roc(run: RunDetails, baseline: RunDetails | None, how: str) -> Figure:
    banded = bootstrap_band(run.labels, run.probability_tta, roc, run.scored.clusters)
    axes = Axes((0, 1), (0, 1), "false positive rate", "sensitivity")
    description = f"Sensitivity of {run.name} at a false positive rate of {_readings(banded)}."
    shapes = [
        *axes.frame(),
        axes.line([(0, 0), (1, 1)], "guide"),
        *_lines(axes, banded, roc, baseline),
    ]
    caption = f"AUC {_with_interval(run.intervals['auc'])}. {how}."
    return Figure(caption, drawing("roc", "ROC curve", description, shapes), "ROC curve", _legend(run, baseline))


def _precision_recall(run: RunDetails, baseline: RunDetails | None, how: str) -> Figure:
    banded = bootstrap_band(run.labels, run.probability_tta, precision_recall, run.scored.clusters)
    precision = bootstrap(run.labels, run.probability_tta, average_precision, groups=run.scored.clusters)
    prevalence = float(run.labels.mean())
    lowest = min(0.5, float(banded.low.min()), prevalence)
    axes = Axes((0, 1), (lowest, 1), "recall (sensitivity)", "precision")
    description = f"Precision of {run.name} at a recall of {_readings(banded)}."
    shapes = [
        *axes.frame(),
        axes.line([(0, prevalence), (1, prevalence)], "guide"),
        *_lines(axes, banded, precision_recall, baseline),
    ]
    caption = (
        f"Average precision {_with_interval(precision)} (bootstrap). {how}: {prevalence:.3f}, the share of "
        f"{run.classes[1]}."
    )
    title = "Precision and recall"
    return Figure(caption, drawing("precision-recall", title, description, shapes), title, _legend(run, baseline))


def _lines(
    axes: Axes,
    banded: Band,
    curve: Callable[[NDArray[np.uint8], NDArray[np.float64]], NDArray[np.float64]],
    baseline: RunDetails | None,
) -> list[Shape]:
    """Return the band of a run, the baseline's line and the run's, back to front."""
    second = [] if baseline is None else [
        axes.line(_points(curve(baseline.labels, baseline.probability_tta)), "second")
    ]  # fmt: skip
    first = axes.line(_points(banded.value), "first")
    return [axes.band(_points(banded.low), _points(banded.high), "first"), *second, first]


def _legend(run: RunDetails, baseline: RunDetails | None) -> list[tuple[str, str]]:
    second = [] if baseline is None else [("second", f"{baseline.name} (baseline)")]
    return [("first", run.name), ("band first", "95% of bootstrap draws"), *second]


def _with_interval(interval: Interval) -> str:
    return f"{interval.value:.3f} (95% interval {interval.low:.3f} to {interval.high:.3f})"


def _points(curve: NDArray[np.float64]) -> PlotPoints:
    return [(float(x), float(y)) for x, y in zip(GRID, curve, strict=True)]


def _readings(banded: Band) -> str:
    return "; ".join(
        f"{GRID[place]:.2f} is {banded.value[place]:.3f}, {banded.low[place]:.3f} to {banded.high[place]:.3f}"
        for place in READ_AT
    )
