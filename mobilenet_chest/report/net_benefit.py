"""What decisions by a run are worth: its decision curve, and the distribution of its probabilities by class."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

import numpy as np

from mobilenet_chest.evaluation.calibration import crossfit_calibrated
from mobilenet_chest.evaluation.curves import DRAWS
from mobilenet_chest.evaluation.net_benefit import (
    BINS,
    THRESHOLDS,
    DecisionCurve,
    decision_curve,
    net_benefit,
    probability_counts,
)
from mobilenet_chest.report.axes import Axes, drawing
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import MISSING, Element, Figure, Figures, Folded, Table

READ_AT = (9, 19, 29, 49, 69, 89)
"""Places of the curve that description and table read out: thresholds 0.1, 0.2, 0.3, 0.5, 0.7 and 0.9."""


def benefit(run: RunDetails) -> list[Element]:
    """Return the decision curve and the distribution of probabilities, and the number needed to test as a table."""
    curve = decision_curve(run.labels, run.probability_tta, run.scored.clusters)
    return [
        Figures([_decision(run, curve), _distribution(run)]),
        Folded("The number needed to test", [_needed(run, curve)]),
    ]


def _decision(run: RunDetails, curve: DecisionCurve) -> Figure:
    prevalence = float(run.labels.mean())
    axes = Axes((0, 1), (min(-0.05, -prevalence / 4), max(prevalence, 0.05)), "threshold", "net benefit")
    evaluation = run.config.evaluation
    calibrated = crossfit_calibrated(run.labels, run.probability_tta, evaluation.folds, run.config.seed)

    shapes = [
        *axes.frame(),
        axes.line([(0, 0), (1, 0)], "guide"),
        axes.band(_points(curve.low), _points(curve.high), "first"),
        axes.line([point for point in _points(curve.treat_all) if point[1] >= axes.y[0]], "third"),
        axes.line(_points(net_benefit(run.labels, calibrated)), "second"),
        axes.line(_points(curve.value), "first"),
    ]
    readings = "; ".join(
        f"at {THRESHOLDS[place]:.2f} {curve.value[place]:.3f}, {curve.low[place]:.3f} to {curve.high[place]:.3f}, "
        f"calling all class 1 {curve.treat_all[place]:.3f}"
        for place in READ_AT
    )
    useful = curve.useful
    where = "nowhere" if useful is None else f"between the thresholds {useful[0]:.2f} and {useful[1]:.2f}"
    caption = (
        f"Net benefit with TTA, {run.images_scored}, prevalence {prevalence:.3f}: true findings for each image, less "
        "false alarms at the odds of the threshold (Vickers and Elkin, 2006). The band holds 95% of "
        f"{DRAWS:,} bootstrap draws at each point. It lies above both alternatives {where}. The dashed line is calling "
        "no image class 1. At another prevalence the curve is another one."
    )
    legend = [("first", run.name), ("second", "calibrated, cross-fitted"), ("third", f"all are {run.classes[1]}")]
    plot = drawing("decision", "Decision curve", f"Net benefit of {run.name}: {readings}.", shapes)
    return Figure(caption, plot, "Decision curve", legend)


def _distribution(run: RunDetails) -> Figure:
    counts = probability_counts(run.labels, run.probability_tta)
    shares = counts / counts.sum(axis=1, keepdims=True)
    edges = np.arange(BINS + 1) / BINS
    axes = Axes((0, 1), (0, float(shares.max())), f"probability of {run.classes[1]}", "share of the class")
    shapes = [*axes.frame(), axes.upright(run.threshold)]
    for label, style in ((0, "second"), (1, "first")):
        steps = [(float(x), float(share)) for place, share in enumerate(shares[label])
                 for x in edges[place : place + 2]]  # fmt: skip
        shapes.append(axes.line([(0.0, 0.0), *steps, (1.0, 0.0)], style))
    half = BINS // 2
    description = "; ".join(
        f"{name}: {row[:half].sum()} images below 0.5 and {row[half:].sum()} from 0.5 on"
        for name, row in zip(run.classes, counts, strict=True)
    )
    caption = (
        f"Probabilities with TTA of the {counts[0].sum()} images of {run.classes[0]} and the {counts[1].sum()} of "
        f"{run.classes[1]}, in bins of {1 / BINS:g}. The dashed line is the threshold, {run.threshold:.2f}."
    )
    legend = [("first", run.classes[1]), ("second", run.classes[0])]
    return Figure(caption, drawing("distribution", "Probabilities by class", f"{description}.", shapes),
                  "Probabilities by class", legend)  # fmt: skip


def _needed(run: RunDetails, curve: DecisionCurve) -> Table:
    rows = [
        [f"{THRESHOLDS[place]:.2f}", f"{curve.value[place]:.3f} ({curve.low[place]:.3f} to {curve.high[place]:.3f})",
         f"{max(curve.treat_all[place], 0):.3f}", _images(curve, place)]
        for place in READ_AT
    ]  # fmt: skip
    caption = (
        f"Net benefit of {run.name}, and how many images must be tested for one more net true finding than by the "
        "better of calling all or no images class 1; in brackets 95% intervals"
    )
    return Table("needed", caption, ["threshold", "net benefit", "better alternative", "needed to test"], rows)


def _images(curve: DecisionCurve, place: int) -> str:
    if not math.isfinite(curve.number_needed[place]):
        return MISSING
    most = curve.needed_high[place]
    ends = f"{curve.needed_low[place]:.1f} to {'∞' if math.isinf(most) else f'{most:.1f}'}"
    return f"{curve.number_needed[place]:.1f} ({ends})"


def _points(values: Iterable[float]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(THRESHOLDS, values, strict=True)]


def benefit_files(run: RunDetails) -> dict[str, str]:
    """Return the tables of both figures as CSV, by the names of their files."""
    curve = decision_curve(run.labels, run.probability_tta, run.scored.clusters)
    names = ("value", "low", "high", "treat_all", "number_needed", "needed_low", "needed_high")
    columns = [getattr(curve, name).tolist() for name in names]
    counts = probability_counts(run.labels, run.probability_tta)
    edges = np.round(np.arange(BINS + 1) / BINS, 2).tolist()
    return {
        "decision_curve.csv": _csv(
            ["threshold", "net_benefit", *names[1:]], zip(THRESHOLDS.tolist(), *columns, strict=True)
        ),
        "probabilities.csv": _csv(
            ["from", "to", "class_0", "class_1"], zip(edges[:-1], edges[1:], *counts.tolist(), strict=True)
        ),
    }


def _csv(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    return text.getvalue()
