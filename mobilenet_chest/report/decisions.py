"""Whether a run's probabilities mean what they say, and what comes of deciding by a threshold."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from mobilenet_chest.evaluation.calibration import ece_interval, reliability
from mobilenet_chest.evaluation.operating_points import threshold_curve
from mobilenet_chest.report.markup import figure, folded, number, side_by_side, table
from mobilenet_chest.report.material import Examined
from mobilenet_chest.report.svg import Axes, drawing


def calibration(one: Examined) -> Markup:
    """The reliability diagram and the threshold curve, each with its table."""
    reliable, reliable_table = _reliability(one)
    thresholds, thresholds_table = _thresholds(one)
    return side_by_side(reliable, thresholds) + reliable_table + thresholds_table


def _reliability(one: Examined) -> tuple[Markup, Markup]:
    found, positive = reliability(one.labels, one.probability_tta), one.classes[1]
    error = ece_interval(one.labels, one.probability_tta, one.scored.clusters)
    axes = Axes((0, 1), (0, 1), f"mean predicted probability of {positive}", f"observed share of {positive}")
    points = list(zip(found.predicted, found.observed, found.low, found.high, found.count, strict=True))
    parts = [axes.frame(), axes.line([(0, 0), (1, 1)], "guide")]
    parts += [axes.whisker(x, low, high, "first") for x, _, low, high, _ in points]
    parts += [axes.dot(x, y, "first") for x, y, *_ in points]
    said = "; ".join(f"{x:.2f} predicted, {y:.2f} observed" for x, y, *_ in points)
    temperature = one.metrics.get("temperature")
    mended = one.metrics.get("val_ece_calibrated")
    caption = (
        f"Expected calibration error {found.ece:.3f} (95% interval {error.low:.3f} to {error.high:.3f}), of which "
        f"{found.bias:.3f} would be there by chance were every probability true. "
        f"{len(points)} bins of about equally many rows, of {one.images_scored}; whiskers are "
        "Wilson's 95% intervals, the dashed line is perfect calibration."
    )
    if temperature is not None and mended is not None:
        caption += f" With temperature {temperature:.2f}, cross-fitted, the error is {mended:.3f}."
    drawn = drawing("reliability", "Reliability diagram", f"Bins: {said}.", parts)
    rows = [[f"{x:.3f}", f"{y:.3f}", f"{low:.3f} to {high:.3f}", str(count)] for x, y, low, high, count in points]
    headings = ["mean predicted", "observed", "95% interval", "images"]
    alternative = table("reliability-rows", f"Reliability of {one.name}, by bin", headings, rows)
    return figure("Reliability", caption, drawn), folded("The reliability diagram as a table", alternative)


def _thresholds(one: Examined) -> tuple[Markup, Markup]:
    curve = threshold_curve(one.labels, one.probability_tta)
    axes = Axes((0, 1), (0, 1), "threshold", "share")
    lines = (("first", "accuracy"), ("second", "sensitivity"), ("third", "specificity"))
    parts = [axes.frame(), axes.upright(one.threshold)]
    for kind, name in lines:
        parts.append(axes.line(list(zip(curve.threshold, getattr(curve, name), strict=True)), kind))
    places = np.arange(5, 100, 5)
    said = "; ".join(
        f"at {curve.threshold[place]:.2f} accuracy {curve.accuracy[place]:.3f}, sensitivity "
        f"{curve.sensitivity[place]:.3f}, specificity {curve.specificity[place]:.3f}"
        for place in places[1::4]
    )
    caption = (
        f"With TTA, {one.images_scored}. The dashed line is the run's threshold, {one.threshold:.2f}, which was "
        "chosen on these images: its accuracy here is too good; the cross-fitted one in the leaderboard is not."
    )
    drawn = drawing("thresholds", "Threshold curve", said[:1].upper() + said[1:] + ".", parts)
    names = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
    rows = [
        [f"{curve.threshold[place]:.2f}", *(number(float(getattr(curve, name)[place]), 3) for name in names)]
        for place in places
    ]
    headings = ["threshold", "accuracy", "sensitivity", "specificity", "PPV", "NPV"]
    alternative = table("threshold-rows", f"What each threshold gives, of {one.name}", headings, rows)
    return figure("Threshold", caption, drawn, lines), folded("The threshold curve as a table", alternative)


def confusion(one: Examined) -> Markup:
    """How often which class was taken for which, with the shares that follow."""
    classes, truth = one.classes, one.labels == 1
    counts = [[int(((truth == t) & (one.predicted == p)).sum()) for p in (False, True)] for t in (False, True)]
    rows = [
        [
            classes[t],
            *(
                Markup('<span class="cell {}">{}</span>').format("right" if t == p else "wrong", counts[t][p])
                for p in (0, 1)
            ),
            str(sum(counts[t])),
        ]
        for t in (0, 1)
    ]
    shares = {"sensitivity": (counts[1][1], sum(counts[1])), "specificity": (counts[0][0], sum(counts[0])),
              "accuracy": (counts[0][0] + counts[1][1], len(truth))}  # fmt: skip
    said = []
    for name, (successes, of) in shares.items():
        found = one.figures[name]
        said.append(f"{name} {successes}/{of} = {found.value:.3f} ({found.low:.3f} to {found.high:.3f})")
    caption = (
        f"With TTA at threshold {one.threshold:.2f}, {one.images_scored}: {', '.join(said)}; 95% "
        "intervals, too good by what the choice of the threshold on these images gives."
    )
    headings = ["truth", f"predicted {classes[0]}", f"predicted {classes[1]}", "all"]
    return figure("Confusion matrix", caption, table("confusion", f"Predictions of {one.name}", headings, rows))
