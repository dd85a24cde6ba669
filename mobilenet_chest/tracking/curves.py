"""Pictures of what the probabilities are worth: the reliability diagram and the threshold curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.evaluation.operating_points import point_at, threshold_curve
from mobilenet_chest.evaluation.predictions import Labels, Probabilities
from mobilenet_chest.evaluation.thresholds import accuracy_at
from mobilenet_chest.tracking.plots import QUICKLY

PLAIN, CALIBRATED = "#0969da", "#bf5700"


def reliability_diagram(labels: Labels, plain: Probabilities, calibrated: Probabilities, path: Path) -> None:
    """Observed against predicted shares of class 1, with 95% intervals, before and after calibration."""
    from matplotlib.figure import Figure  # only where a picture is drawn: it takes long

    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#8c959f", linestyle="--")
    kinds = (("as trained", plain, PLAIN, "o"), ("calibrated, cross-fitted", calibrated, CALIBRATED, "s"))
    for name, probabilities, color, marker in kinds:
        found = reliability(labels, probabilities)
        # a rounding below 0 is no length
        arms = np.maximum([found.observed - found.low, found.high - found.observed], 0)
        axes.errorbar(
            found.predicted, found.observed, arms, fmt=marker, color=color, markersize=5, elinewidth=1, capsize=2,
            label=f"{name}: ECE {found.ece:.3f} ({found.bias:.3f} by chance)",
        )  # fmt: skip
    axes.set(xlabel="predicted probability of class 1", ylabel="observed share of class 1", title="Reliability",
             xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, pil_kwargs=QUICKLY)


def threshold_picture(labels: Labels, probabilities: Probabilities, threshold: float, path: Path) -> None:
    """Accuracy, sensitivity, specificity, PPV and NPV over thresholds; the chosen threshold as a red line."""
    from matplotlib.figure import Figure  # only where a picture is drawn: it takes long

    curve, point = threshold_curve(labels, probabilities), point_at(labels, probabilities, threshold)
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    lines = (
        ("accuracy", curve.accuracy, "#1f2328", "-"), ("sensitivity", curve.sensitivity, PLAIN, "-"),
        ("specificity", curve.specificity, CALIBRATED, "-"), ("PPV", curve.ppv, PLAIN, ":"),
        ("NPV", curve.npv, CALIBRATED, ":"),
    )  # fmt: skip
    for name, values, color, style in lines:
        axes.plot(curve.threshold, values, color=color, linestyle=style, label=name)
    axes.axvline(threshold, color="red", label=f"threshold {threshold:.2f}")
    axes.set(
        xlabel="threshold", ylabel="share", xlim=(0, 1), ylim=(-0.02, 1.02),
        title=f"At the threshold: accuracy {accuracy_at(labels, probabilities, threshold):.3f}, "
        f"sensitivity {point.sensitivity:.3f}, specificity {point.specificity:.3f}",
    )  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower center", ncols=3)
    figure.savefig(path, dpi=110, pil_kwargs=QUICKLY)
