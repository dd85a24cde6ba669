"""What a sweep did: its trials, their cost, the importance of parameters, and the optimism of the best value."""

from __future__ import annotations

import math

import pandas as pd
from mlflow.entities import Run

from mobilenet_chest.config.formats import duration, number, signed
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.report.elements import (
    MISSING,
    Bar,
    Cell,
    Element,
    Figure,
    Figures,
    Folded,
    Paragraph,
    Shape,
    Table,
)
from mobilenet_chest.report.subject import Subject
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metrics_of

IMPORTANCE = "importance."
"""Start of the names of a study's metrics that are the importances of its parameters."""

TRIALS_SHOWN = 100


def search(subject: Subject, study: Run) -> list[Element]:
    """Return confirmation, cost, importances and trials of a study; before its end, what is known so far.

    Args:
        subject: What the page is about.
        study: The study's run.
    """
    if subject.trials is None:
        unknown = "The sweep has not finished. Its cost and the importance of its parameters are known at its end."
        return [*confirmation(subject, study), Paragraph(unknown, "missing")]
    return [
        *findings(study),
        *confirmation(subject, study),
        Figures([cost(study, subject.trials), importances(subject, study)]),
        trials(subject.trials),
    ]


def findings(study: Run) -> list[Element]:
    """Return what the sweep has found out about its own search, a paragraph each; none of early versions."""
    return [Paragraph(f"Note: {line}.") for line in study.data.tags.get(tags.FINDINGS, "").splitlines()]


def cost(study: Run, board: pd.DataFrame) -> Table:
    """Return trials by state, time, and what sharing stage 1 and pruning saved."""
    metrics = metrics_of(study)
    rows = [
        ["trials complete", number(metrics["trials_complete"], 0)],
        ["trials pruned", number(metrics["trials_pruned"], 0)],
        *([["trials paused", number(metrics["trials_paused"], 0)]] if "trials_paused" in metrics else []),
        ["trials failed", number(metrics["trials_fail"], 0)],
        ["time in trials, total", duration(float(board["seconds"].sum()))],
        ["of that in pruned trials", duration(float(board.loc[board["state"] == "PRUNED", "seconds"].sum()))],
        ["stage-1 epochs trained", number(metrics["stage1_epochs_trained"], 0)],
        ["stage-1 epochs reused", number(metrics["stage1_epochs_reused"], 0)],
        ["time saved by sharing", duration(metrics["saved_seconds"])],
    ]
    return Table("cost", "Cost of the sweep, and what it saved", ["what", "how much"], rows)


def importances(subject: Subject, study: Run) -> Element:
    """Return bars of each searched parameter's share in the variance of the metric."""
    shares = {
        name.removeprefix(IMPORTANCE): value for name, value in metrics_of(study).items() if name.startswith(IMPORTANCE)
    }
    if not shares:
        return Paragraph("Parameter importance needs four complete trials with different results.", "missing")
    largest_first = sorted(shares.items(), key=lambda item: -item[1])
    rows: list[list[Cell]] = [[path, f"{share:.1%}", meter(share)] for path, share in largest_first]
    caption = (
        f"Share of each parameter in the variance of {subject.metric} over the complete trials (fANOVA; Hutter et "
        "al., 2014). With few trials this is only a hint."
    )
    table = Table("importances", "Importance of each searched parameter", ["parameter", "share", "bar"], rows)
    return Figure(caption, table, "Parameter importance")


def meter(share: float) -> Bar:
    """Return a bar of a share from 0 to 1."""
    filled = Shape("rect", {"class": "bar first", "width": f"{100 * share:.2f}", "height": "10"})
    return Bar("meter", 100, 10, [filled], stretched=True)


def confirmation(subject: Subject, study: Run) -> list[Element]:
    """Return the value of the best trial in the search and on fresh seeds, and which trial the fresh seeds chose."""
    metrics, study_tags, metric = metrics_of(study), study.data.tags, subject.metric
    if not study_tags.get(tags.CONFIRMED_RUN):
        return [Paragraph(_unconfirmed(subject), "missing")]
    claimed, optimism = metrics[f"best_{metric}"], metrics["optimism"]
    reached = claimed - as_score(optimism, subject.direction)
    paragraphs: list[Element] = [
        Paragraph(
            f"Trial {subject.shown_number(study_tags[tags.BEST_TRIAL])} had {metric} {number(claimed, 4)} in the "
            f"search, and on average {number(reached, 4)} when trained again on fresh seeds. "
            f"Optimism: {signed(optimism)} (95% interval {signed(metrics['optimism_low'])} to "
            f"{signed(metrics['optimism_high'])})."
        ),
        Paragraph(
            f"The fresh seeds chose trial {subject.shown_number(study_tags[tags.CONFIRMED_TRIAL])}: {metric} "
            f"{number(metrics[f'confirmed_{metric}'], 4)} on average, "
            f"{number(metrics[f'confirmed_{metric}_crossfit'], 4)} when cross-fitted over that choice."
        ),
    ]
    if subject.confirmation is None:
        return paragraphs
    caption = "Leaders trained again, on each fresh seed"
    return [*paragraphs, Folded("All fresh seeds", [_frame("confirmation", caption, subject.confirmation)])]


def _unconfirmed(subject: Subject) -> str:
    count = len(subject.rows) - (subject.base is not None)
    if count == 1:
        return "One trial is complete, so nothing has been chosen yet."
    return (
        f"Best of {count} complete trials, so its value is optimistic. By how much is unknown: no confirmation "
        "(study.confirm) has trained the best trials again on fresh seeds."
    )


def trials(board: pd.DataFrame) -> Folded:
    """Return every trial with its parameters on request, pruned and failed ones too."""
    shown = board.head(TRIALS_SHOWN)
    caption = f"Trials of the study, the best first; {len(shown)} of {len(board)}"
    table = _frame("trials", caption, shown.drop(columns="run_id"))
    return Folded("All trials with their parameters", [table])


def _frame(key: str, caption: str, frame: pd.DataFrame) -> Table:
    """Return a table that the sweep has written."""
    frame = frame.drop(columns="number", errors="ignore")  # Optuna's; people know a trial by the first column
    names = [str(name) for name in frame.columns]
    rows = [
        [_cell(name, value) for name, value in zip(names, row, strict=True)] for row in frame.itertuples(index=False)
    ]
    return Table(key, caption, names, rows)


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return MISSING
        return duration(value) if name == "seconds" else f"{value:.4g}"
    return str(value)
