"""The confusion matrix of a run at its threshold."""

from __future__ import annotations

from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Cell, Count, Figure, Table


def confusion_matrix(run: RunDetails) -> Figure:
    """Return how often which class was predicted as which, with sensitivity, specificity and accuracy."""
    classes, truth = run.classes, run.labels == 1
    counts = [[int(((truth == t) & (run.predicted == p)).sum()) for p in (False, True)] for t in (False, True)]
    rows: list[list[Cell]] = [
        [classes[t], *(Count(counts[t][p], t == p) for p in (0, 1)), str(sum(counts[t]))] for t in (0, 1)
    ]
    (true_negative, _), (_, true_positive) = counts
    shares = {
        "sensitivity": (true_positive, sum(counts[1])),
        "specificity": (true_negative, sum(counts[0])),
        "accuracy": (true_negative + true_positive, len(truth)),
    }
    texts = []
    for name, (correct, images) in shares.items():
        interval = run.intervals[name]
        texts.append(f"{name} {correct}/{images} = {interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})")
    caption = (
        f"With TTA at threshold {run.threshold:.2f}, {run.images_scored}: {', '.join(texts)}; in "
        "brackets 95% intervals. The threshold was chosen on these images, so the values are optimistic."
    )
    headings = ["truth", f"predicted {classes[0]}", f"predicted {classes[1]}", "all"]
    return Figure(caption, Table("confusion", f"Predictions of {run.name}", headings, rows), "Confusion matrix")
