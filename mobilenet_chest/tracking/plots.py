"""The two pictures of the source report (section 5): training curves, and a grid of validation predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mobilenet_chest.data.dataset import Split
from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.evaluation.operating_points import point_at, threshold_curve
from mobilenet_chest.evaluation.predictions import Labels, Predictions, Probabilities
from mobilenet_chest.evaluation.thresholds import accuracy_at
from mobilenet_chest.training.epoch import Record

RIGHT, WRONG = "#1a7f37", "#cf222e"
PLAIN, CALIBRATED = "#0969da", "#bf5700"

ROWS, COLUMNS = 4, 5
WIDTH, HEIGHT = 1.2, 1.25
"""Of a picture with its margin and what is written above it, in sides of a picture."""

QUICKLY = {"compress_level": 1}
"""Every trial draws: a quarter of the time to compress, for a file that is a third larger."""


def training_curves(history: Sequence[Record], best_epoch: int, path: Path) -> None:
    """Loss on the left, accuracy on the right, of training and validation; the best epoch red, the stages apart."""
    epochs = np.arange(1, len(history) + 1)
    stage1_epochs = sum(record["stage"] == 1 for record in history)
    from matplotlib.figure import Figure  # only where a picture is drawn: it takes long

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, color in (("train", "#57606a"), ("val", "#0969da")):
            axes.plot(epochs, [record[f"{split}_{quantity}"] for record in history], color=color, label=split)
        best = history[best_epoch - 1][f"val_{quantity}"]
        axes.scatter([best_epoch], [best], color="red", zorder=3, label=f"best epoch {best_epoch}: {best:.3f}")
        if 0 < stage1_epochs < len(history):
            axes.axvline(stage1_epochs + 0.5, color="#8c959f", linestyle="--", label="stage 1 | stage 2")
        axes.set(xlabel="epoch", ylabel=quantity, title=quantity.capitalize())
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, pil_kwargs=QUICKLY)


def prediction_grid(
    split: Split, predictions: Predictions, classes: tuple[str, str], threshold: float, seed: int, path: Path
) -> None:
    """A 4×5 grid of 20 random images: border green when right, red when wrong; truth, prediction, confidence.

    Predictions are with TTA at ``threshold``; confidence is the probability of the predicted class.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split))[:20])
    from matplotlib.figure import Figure  # only where a picture is drawn: it takes long
    from matplotlib.patches import Rectangle

    # one set of axes for all: twenty of them take three times as long to draw
    figure = Figure(figsize=(11, 9.6))
    axes = figure.add_axes((0, 0, 1, 0.96))
    axes.axis("off")
    for place, index in enumerate(chosen):
        left, top = (place % COLUMNS) * WIDTH + 0.1, (place // COLUMNS) * HEIGHT + 0.2
        probability = predictions.probability_tta[index]
        predicted, truth = int(probability >= threshold), int(predictions.label[index])
        confidence = probability if predicted else 1 - probability
        image = split.images[index].permute(1, 2, 0).numpy()
        axes.imshow(
            image if image.shape[2] == 3 else image[..., 0],
            cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top),
        )  # fmt: skip
        color = RIGHT if predicted == truth else WRONG
        axes.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=color, linewidth=4))
        verdict = "right" if predicted == truth else "wrong"
        title = f"{classes[truth]}\n{verdict}: {classes[predicted]} ({confidence:.0%})"
        axes.text(left + 0.5, top - 0.03, title, fontsize=8, color=color, ha="center", va="bottom")
    axes.set(xlim=(0, COLUMNS * WIDTH), ylim=(ROWS * HEIGHT, 0), aspect="equal")
    figure.suptitle(f"Validation images: truth, then prediction (TTA, threshold {threshold:.2f})")
    figure.savefig(path, dpi=90, pil_kwargs=QUICKLY)


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
