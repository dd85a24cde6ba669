"""What a run gains by referring images: its risk–coverage curve, and the promise of conformal answers."""

from __future__ import annotations

import csv
import io
import math

from mobilenet_chest.config.formats import with_interval
from mobilenet_chest.evaluation.conformal import (
    RATES,
    RiskCoverage,
    conformal_rule,
    coverage_spread,
    crossfit_result,
    risk_coverage,
)
from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.report.axes import Axes, drawing
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Cell, Element, Figure, Figures, Table

READ_AT = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of images that are answered, at which intervals are drawn and read out."""


def abstention(run: RunDetails) -> list[Element]:
    """Return the risk–coverage curve, and beside it what is promised and kept at each of the error rates."""
    return [Figures([_risk(run), _promises(run)])]


def _risk(run: RunDetails) -> Figure:
    curve = risk_coverage(run.labels, run.probability_tta, run.threshold)
    read = [_risk_at(curve, share) for share in READ_AT]
    axes = Axes((0, 1), (0, max(0.05, *(each.high for each in read))), "share of images answered", "share of errors")
    shapes = [
        *axes.frame(),
        axes.line(list(zip(curve.coverage.tolist(), curve.risk.tolist(), strict=True)), "first"),
        *(axes.whisker(share, each.low, each.high, "first") for share, each in zip(READ_AT, read, strict=True)),
    ]
    description = "; ".join(
        f"{share:.0%} answered: {with_interval(each.value, each, 3, to=' to ')}"
        for share, each in zip(READ_AT, read, strict=True)
    )
    caption = (
        "Errors among the images that are answered, the surest first: farthest from the threshold "
        f"{run.threshold:.2f}. With TTA, {run.images_scored}; whiskers are 95% Wilson intervals of single images. "
        f"Mean over all shares {curve.area:.4f}. The threshold was chosen on these images."
    )
    plot = drawing("risk-coverage", "Risk–coverage curve", f"Errors of {run.name}: {description}.", shapes)
    return Figure(caption, plot, "Risk and coverage")


def _risk_at(curve: RiskCoverage, share: float) -> Interval:
    answered = max(1, round(share * len(curve.risk)))
    risk = float(curve.risk[answered - 1])
    around = wilson(round(risk * answered), answered)
    return Interval(risk, min(around.low, risk), max(around.high, risk))


def _promises(run: RunDetails) -> Figure:
    labels, probabilities = run.labels, run.probability_tta
    rows: list[list[Cell]] = []
    for rate in RATES:
        rule = conformal_rule(labels, probabilities, rate)
        result = crossfit_result(labels, probabilities, rate, run.config.evaluation.folds, run.config.seed)
        for label, (sign, end) in enumerate((("≤", rule.below), ("≥", rule.above))):
            low, high = coverage_spread(int((labels == label).sum()), rate)
            share = result.covered[label]
            broken = ", broken" if label in result.broken else ""
            rows.append([
                f"{rate:.0%}, {run.classes[label]}",
                f"{sign} {end:.4f}" if math.isfinite(end) else "always: too few images",
                f"{1 - rate:.2f} ({low:.3f} to {high:.3f})",
                with_interval(share.value, share, 3, to=" to ") + broken,
                with_interval(1 - result.one.value, _others(result.one), 3, to=" to "),
            ])  # fmt: skip
    caption = (
        "An answer keeps each class that is not too strange at an error rate. It refers where it keeps both or none. "
        "Promised: in brackets where 95% of such rules lie. Kept and referred: each image by a rule from the other "
        "folds, with 95% Wilson intervals. It holds for films of the same kind."
    )
    headings = ["error rate, class", "kept at a probability", "promised", "kept", "referred"]
    return Figure(caption, Table("promises", f"Promise of {run.name}", headings, rows), "Answers with a promise")


def _others(share: Interval) -> Interval:
    return Interval(1 - share.value, 1 - share.high, 1 - share.low)


def abstention_files(run: RunDetails) -> dict[str, str]:
    """Return the risk–coverage curve as CSV, by the name of its file."""
    curve = risk_coverage(run.labels, run.probability_tta, run.threshold)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["coverage", "risk"])
    for share, risk in zip(curve.coverage.tolist(), curve.risk.tolist(), strict=True):
        writer.writerow([f"{share:.6g}", f"{risk:.6g}"])
    return {"risk_coverage.csv": text.getvalue()}
