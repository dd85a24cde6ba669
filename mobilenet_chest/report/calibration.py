"""The reliability diagram and the threshold curve of a run, each with its table."""

from __future__ import annotations

import numpy as np

from mobilenet_chest.config.formats import number
from mobilenet_chest.evaluation.calibration import ece_interval, reliability
from mobilenet_chest.evaluation.operating_points import threshold_curve
from mobilenet_chest.report.axes import Axes, drawing
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import MISSING, Element, Figure, Figures, Folded, Table

THRESHOLDS = np.arange(5, 100, 5)
"""Places in the threshold curve that its table shows, in percent."""


def reliability_and_threshold(run: RunDetails) -> list[Element]:
    """Return both figures side by side, and their tables."""
    reliable, reliable_table = _reliability(run)
    threshold, threshold_table = _threshold(run)
    return [
        Figures([reliable, threshold]),
        Folded("The reliability diagram as a table", [reliable_table]),
        Folded("The threshold curve as a table", [threshold_table]),
    ]


def _reliability(run: RunDetails) -> tuple[Figure, Table]:
    diagram, positive = reliability(run.labels, run.probability_tta), run.classes[1]
    axes = Axes((0, 1), (0, 1), f"mean predicted probability of {positive}", f"observed share of {positive}")
    bins = list(zip(diagram.predicted, diagram.observed, diagram.low, diagram.high, diagram.count, strict=True))
    shapes = [
        *axes.frame(),
        axes.line([(0, 0), (1, 1)], "guide"),
        *(axes.whisker(x, low, high, "first") for x, _, low, high, _ in bins),
        *(axes.dot(x, y, "first") for x, y, *_ in bins),
    ]
    description = "Bins: " + "; ".join(f"{x:.2f} predicted, {y:.2f} observed" for x, y, *_ in bins) + "."
    error = ece_interval(run.labels, run.probability_tta, run.scored.clusters)
    caption = (
        f"Expected calibration error (ECE) {diagram.ece:.3f} (95% interval {error.low:.3f} to {error.high:.3f}); a "
        f"perfectly calibrated model would average {diagram.bias:.3f}. {run.images_scored} in {len(bins)} bins of "
        "about equal size. Whiskers are 95% Wilson intervals; the dashed line is perfect calibration."
    )
    temperature, calibrated = run.metrics.get("temperature"), run.metrics.get("val_ece_calibrated")
    if temperature is not None and calibrated is not None:
        caption += f" After calibration at temperature {temperature:.2f} the cross-fitted ECE is {calibrated:.3f}."
    rows = [[f"{x:.3f}", f"{y:.3f}", f"{low:.3f} to {high:.3f}", str(count)] for x, y, low, high, count in bins]
    headings = ["mean predicted", "observed", "95% interval", "images"]
    return (
        Figure(caption, drawing("reliability", "Reliability diagram", description, shapes), "Reliability"),
        Table("reliability-rows", f"Reliability of {run.name}, by bin", headings, rows),
    )


def _threshold(run: RunDetails) -> tuple[Figure, Table]:
    curve = threshold_curve(run.labels, run.probability_tta)
    axes = Axes((0, 1), (0, 1), "threshold", "share")
    legend = [("first", "accuracy"), ("second", "sensitivity"), ("third", "specificity")]
    shapes = [
        *axes.frame(),
        axes.upright(run.threshold),
        *(axes.line(list(zip(curve.threshold, getattr(curve, name), strict=True)), style) for style, name in legend),
    ]
    description = "; ".join(
        f"at {curve.threshold[place]:.2f} accuracy {curve.accuracy[place]:.3f}, sensitivity "
        f"{curve.sensitivity[place]:.3f}, specificity {curve.specificity[place]:.3f}"
        for place in THRESHOLDS[1::4]
    )
    caption = (
        f"With TTA, {run.images_scored}. The dashed line is the run's threshold, {run.threshold:.2f}. It was chosen on "
        "these images, so its accuracy here is optimistic; the cross-fitted accuracy in the leaderboard is not."
    )
    plot = drawing("thresholds", "Threshold curve", description[:1].upper() + description[1:] + ".", shapes)
    names = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
    rows = [
        [f"{curve.threshold[place]:.2f}", *(number(float(getattr(curve, name)[place]), 3, MISSING) for name in names)]
        for place in THRESHOLDS
    ]
    headings = ["threshold", "accuracy", "sensitivity", "specificity", "PPV", "NPV"]
    table = Table("threshold-rows", f"Metrics of {run.name} at each threshold", headings, rows)
    return Figure(caption, plot, "Threshold", legend), table
