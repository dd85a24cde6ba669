"""The learning curves of a run."""

from __future__ import annotations

from mobilenet_chest.config.formats import number
from mobilenet_chest.report.axes import Axes, around, drawing
from mobilenet_chest.report.details import EPOCH_METRICS, RunDetails
from mobilenet_chest.report.elements import MISSING, Element, Figure, Figures, Folded, Paragraph, Table

TABLE_ROWS = 21
"""Of the table below the learning curves, at most. A longer training shows evenly spread epochs."""

HEADINGS = ("epoch", "stage", "training loss", "validation loss", "training accuracy", "validation accuracy",
            "validation AUC")  # fmt: skip


def learning_curves(run: RunDetails) -> list[Element]:
    """Return plots of loss and accuracy by epoch with the best epoch marked, and their table."""
    if not run.history:
        return [Paragraph(f"{run.name} has no training of its own: it is made of other runs.", "missing")]
    quantities = (("loss", "loss, nats"), ("accuracy", "accuracy at 0.5"))
    figures = Figures([_figure(run, quantity, unit) for quantity, unit in quantities])
    return [figures, Folded("The learning curves as a table", [_table(run)])]


def _figure(run: RunDetails, quantity: str, unit: str) -> Figure:
    history, best = run.history, run.best_epoch
    epochs = sorted(history)
    train, val = ([(float(epoch), history[epoch][f"{split}_{quantity}"]) for epoch in epochs]
                  for split in ("train", "val"))  # fmt: skip
    axes = Axes(
        around([float(epoch) for epoch in epochs]),
        around([value for _, value in (*train, *val)]),
        "epoch, over both stages",
        unit,
        integers=True,
    )
    stage1_epochs = sum(history[epoch]["stage"] == 1 for epoch in epochs)
    two_stages = 0 < stage1_epochs < len(epochs)
    reached, where = history[best][f"val_{quantity}"], f"epoch {best} of {epochs[-1]}"
    shapes = [
        *axes.frame(),
        *([axes.upright(stage1_epochs + 0.5)] if two_stages else []),
        axes.line(train, "third"),
        axes.line(val, "first"),
        axes.dot(best, reached, "wrong"),
    ]
    description = (
        f"Training {quantity} goes from {train[0][1]:.3f} to {train[-1][1]:.3f}. Validation {quantity} goes from "
        f"{val[0][1]:.3f} to {val[-1][1]:.3f}; at the best epoch, {where}, it is {reached:.3f}."
    )
    caption = (
        f"Learning curve of {run.name}. The dot marks the best epoch, {where}: validation {quantity} {reached:.3f}."
    )
    if two_stages:
        caption += " The dashed line marks the end of stage 1."
    title = f"{quantity.capitalize()} by epoch"
    plot = drawing(f"training-{quantity}", title, description, shapes)
    return Figure(caption, plot, quantity.capitalize(), [("first", "validation"), ("third", "training")])


def _table(run: RunDetails) -> Table:
    history = run.history
    epochs = sorted(history)
    step = -(-len(epochs) // TABLE_ROWS)
    shown = [epoch for epoch in epochs if epoch % step == 0 or epoch in (1, run.best_epoch, epochs[-1])]
    rows = [
        [
            str(epoch),
            number(history[epoch]["stage"], 0),
            *(number(history[epoch][name], 4, MISSING) for name in EPOCH_METRICS[1:]),
        ]
        for epoch in shown
    ]
    return Table("epochs", f"Training of {run.name} by epoch", HEADINGS, rows)
