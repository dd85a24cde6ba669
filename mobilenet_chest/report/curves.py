"""How a run learned, and how well its probabilities tell the classes apart."""

from __future__ import annotations

from markupsafe import Markup

from mobilenet_chest.evaluation.bootstrap import bootstrap
from mobilenet_chest.evaluation.curves import (
    DRAWS,
    GRID,
    Band,
    CurveValues,
    average_precision,
    bootstrap_band,
    precision_recall,
    roc,
)
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.report.markup import figure, folded, number, side_by_side, table
from mobilenet_chest.report.material import Examined
from mobilenet_chest.report.svg import Axes, Points, around, drawing

TABLE_ROWS = 21
"""Of the table below the training curves, at most; evenly spread epochs of a longer training."""


def training(one: Examined) -> Markup:
    """Loss and accuracy by epoch, the best epoch marked, the stages apart."""
    history, best = one.history, int(one.metrics["best_epoch"])
    epochs = sorted(history)
    boundary = sum(history[epoch]["stage"] == 1 for epoch in epochs)
    where = f"epoch {best} of {epochs[-1]}"
    figures = []
    for quantity, unit in (("loss", "loss, nats"), ("accuracy", "accuracy at 0.5")):
        lines = {split: [(float(e), history[e][f"{split}_{quantity}"]) for e in epochs] for split in ("train", "val")}
        reached = history[best][f"val_{quantity}"]
        axes = Axes(
            around([float(epoch) for epoch in epochs]),
            around([y for line in lines.values() for _, y in line]),
            "epoch, over both stages",
            unit,
            whole=True,
        )
        parts = [axes.frame()]
        if 0 < boundary < len(epochs):
            parts.append(axes.upright(boundary + 0.5))
        parts += [axes.line(lines["train"], "third"), axes.line(lines["val"], "first")]
        parts.append(axes.dot(best, reached, "wrong"))
        described = (
            f"Training {quantity} goes from {lines['train'][0][1]:.3f} to {lines['train'][-1][1]:.3f}, validation "
            f"{quantity} from {lines['val'][0][1]:.3f} to {lines['val'][-1][1]:.3f}; at the best epoch, {where}, it is "
            f"{reached:.3f}."
        )
        figures.append(
            figure(
                quantity.capitalize(),
                f"Of {one.name}. The dot is the best epoch, {where}: validation {quantity} {reached:.3f}."
                + (" The dashed line is the end of stage 1." if 0 < boundary < len(epochs) else ""),
                drawing(f"training-{quantity}", f"{quantity.capitalize()} by epoch", described, parts),
                [("first", "validation"), ("third", "training")],
            )
        )
    step = -(-len(epochs) // TABLE_ROWS)
    names = ("stage", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_auc")
    shown = [epoch for epoch in epochs if epoch % step == 0 or epoch in (1, best, epochs[-1])]
    rows = [[str(e), number(history[e]["stage"], 0), *(number(history[e][n]) for n in names[1:])] for e in shown]
    headings = ["epoch", "stage", "training loss", "validation loss", "training accuracy", "validation accuracy",
                "validation AUC"]  # fmt: skip
    alternative = table("epochs", f"Training of {one.name} by epoch", headings, rows)
    return side_by_side(*figures) + folded("The training as a table", alternative)


def discrimination(one: Examined, baseline: Examined | None, images: str) -> Markup:
    """ROC and precision-recall curves with bands; the baseline's as a second line where it has predictions.

    Args:
        one: The run.
        baseline: What it is set against, scored on the same images.
        images: On what it was scored, in words.
    """
    labels, scores = one.labels, one.probability_tta
    people = one.scored.clusters
    precision = bootstrap(labels, scores, average_precision, groups=people)
    prevalence = float(labels.mean())
    legend = [("first", one.name), ("band first", "95% of bootstrap draws")]
    legend += [("second", f"{baseline.name} (baseline)")] if baseline else []
    whole = "" if people is None else ", patients whole"
    drawn = f"band: {DRAWS:,} bootstrap draws stratified by class{whole}, pointwise"
    curves = (
        ("roc", "ROC curve", roc, "false positive rate", "sensitivity", [(0.0, 0.0), (1.0, 1.0)],
         f"AUC {spoken(one.figures['auc'])}. Probabilities with TTA, {images}; {drawn}. The dashed line is chance.",
         "Sensitivity", "at a false positive rate of"),
        ("precision-recall", "Precision and recall", precision_recall, "recall (sensitivity)", "precision",
         [(0.0, prevalence), (1.0, prevalence)],
         f"Average precision {spoken(precision)} (bootstrap). Probabilities with TTA, {images}; {drawn}. The dashed "
         f"line is chance: {prevalence:.3f}, the share of {one.classes[1]}.",
         "Precision", "at a recall of"),
    )  # fmt: skip
    figures = []
    for key, title, curve, x_label, y_label, chance, caption, what, at in curves:
        found = bootstrap_band(labels, scores, curve, people)
        axes = Axes((0, 1), (min(0.5, float(found.low.min()), prevalence) if curve is precision_recall else 0, 1.0),
                    x_label, y_label)  # fmt: skip
        parts = [axes.frame(), axes.line(chance, "guide"), axes.band(_points(found.low), _points(found.high), "first")]
        if baseline is not None:
            other = curve(baseline.labels, baseline.probability_tta)
            parts.append(axes.line(_points(other), "second"))
        parts.append(axes.line(_points(found.value), "first"))
        described = f"{what} of {one.name} {at} " + "; ".join(_reading(found, place) for place in (5, 10, 20, 50, 80))
        figures.append(figure(title, caption, drawing(key, title, described + ".", parts), legend))
    return side_by_side(*figures)


def spoken(interval: Interval, digits: int = 3) -> str:
    """An interval in words."""
    return f"{interval.value:.{digits}f} (95% interval {interval.low:.{digits}f} to {interval.high:.{digits}f})"


def _points(curve: CurveValues) -> Points:
    return [(float(x), float(y)) for x, y in zip(GRID, curve, strict=True)]


def _reading(found: Band, place: int) -> str:
    return f"{GRID[place]:.2f} is {found.value[place]:.3f}, {found.low[place]:.3f} to {found.high[place]:.3f}"
