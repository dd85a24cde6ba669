"""Plots of a run: training curves and grid of predictions (section 5 of the source report), reliability, thresholds."""

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
"""Size of an image with its margin and title, in sides of an image."""

FAST_PNG = {"compress_level": 1}
"""Compression of PNG files: a quarter of the time, for a file that is a third larger."""


def training_curves(history: Sequence[Record], best_epoch: int, path: Path) -> None:
    """Draw loss (left) and accuracy (right) of training and validation, with the best epoch in red.

    Args:
        history: A record for each epoch.
        best_epoch: Its number, from 1.
        path: The PNG file.
    """
    epochs = np.arange(1, len(history) + 1)
    stage1_epochs = sum(record["stage"] == 1 for record in history)
    from matplotlib.figure import Figure  # only where a picture is drawn: it takes long

    figure = Figure(figsize=(11, 4.2))
    # margins by hand, here and below: a layout engine draws everything twice, and every trial draws four plots
    margins = {"left": 0.065, "right": 0.985, "bottom": 0.125, "top": 0.92, "wspace": 0.17}
    for axes, quantity in zip(figure.subplots(1, 2, gridspec_kw=margins), ("loss", "accuracy"), strict=True):
        for split, color in (("train", "#57606a"), ("val", "#0969da")):
            axes.plot(epochs, [record[f"{split}_{quantity}"] for record in history], color=color, label=split)
        best = history[best_epoch - 1][f"val_{quantity}"]
        axes.scatter([best_epoch], [best], color="red", zorder=3, label=f"best epoch {best_epoch}: {best:.3f}")
        if 0 < stage1_epochs < len(history):
            axes.axvline(stage1_epochs + 0.5, color="#8c959f", linestyle="--", label="stage 1 | stage 2")
        axes.set(xlabel="epoch", ylabel=quantity, title=quantity.capitalize())
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, pil_kwargs=FAST_PNG)


def prediction_grid(
    split: Split, predictions: Predictions, classes: tuple[str, str], threshold: float, seed: int, path: Path
) -> None:
    """Draw a 4×5 grid of 20 random images with true class, predicted class and confidence.

    The border is green if the prediction is right, and red if it is wrong. Predictions are made with TTA at
    ``threshold``; the confidence is the probability of the predicted class.

    Args:
        split: Images; row ``i`` belongs to ``predictions`` row ``i``.
        predictions: With ``probability_tta``.
        classes: Names of classes 0 and 1.
        threshold: From here on class 1 is predicted.
        seed: Chooses the images.
        path: The PNG file.
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
    figure.savefig(path, dpi=90, pil_kwargs=FAST_PNG)


def reliability_diagram(labels: Labels, plain: Probabilities, calibrated: Probabilities, path: Path) -> None:
    """Draw observed against predicted shares of class 1, with 95% intervals, before and after calibration.

    Args:
        labels: uint8 (n,).
        plain: float64 (n,), probabilities as trained.
        calibrated: float64 (n,), calibrated probabilities, cross-fitted.
        path: The PNG file.
    """
    from matplotlib.figure import Figure  # only where a picture is drawn: it takes long

    figure = Figure(figsize=(6, 5.6))
    axes = figure.add_axes((0.115, 0.095, 0.865, 0.845))
    axes.plot([0, 1], [0, 1], color="#8c959f", linestyle="--")
    kinds = (("as trained", plain, PLAIN, "o"), ("calibrated, cross-fitted", calibrated, CALIBRATED, "s"))
    for name, probabilities, color, marker in kinds:
        curve = reliability(labels, probabilities)
        # rounding can give a length below 0
        arms = np.maximum([curve.observed - curve.low, curve.high - curve.observed], 0)
        axes.errorbar(
            curve.predicted, curve.observed, arms, fmt=marker, color=color, markersize=5, elinewidth=1, capsize=2,
            label=f"{name}: ECE {curve.ece:.3f} ({curve.bias:.3f} by chance)",
        )  # fmt: skip
    axes.set(xlabel="predicted probability of class 1", ylabel="observed share of class 1", title="Reliability",
             xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, pil_kwargs=FAST_PNG)


def threshold_picture(labels: Labels, probabilities: Probabilities, threshold: float, path: Path) -> None:
    """Draw accuracy, sensitivity, specificity, PPV and NPV over thresholds, with the chosen threshold in red."""
    from matplotlib.figure import Figure  # only where a picture is drawn: it takes long

    curve, point = threshold_curve(labels, probabilities), point_at(labels, probabilities, threshold)
    figure = Figure(figsize=(7.5, 4.6))
    axes = figure.add_axes((0.09, 0.115, 0.89, 0.815))
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
    figure.savefig(path, dpi=110, pil_kwargs=FAST_PNG)
