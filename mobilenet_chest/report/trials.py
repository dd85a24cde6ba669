"""What a sweep did: its trials, what they cost and saved, which parameters mattered, what its best one is worth."""

from __future__ import annotations

import math

import pandas as pd
from markupsafe import Markup

from mobilenet_chest.report.markup import (
    duration,
    figure,
    folded,
    missing,
    number,
    paragraph,
    side_by_side,
    signed,
    table,
)
from mobilenet_chest.report.material import Material

IMPORTANCE = "importance."


def everything(material: Material) -> list[Markup]:
    """All of it; while the sweep has not come to its end, what is known by then."""
    if material.board is None:
        unknown = "The sweep has not come to its end: what it cost, and which parameters mattered, is summed up then."
        return [confirmation(material), missing(unknown)]
    return [confirmation(material), side_by_side(cost(material), importance(material)), trials(material)]


def cost(material: Material) -> Markup:
    """Trials by state, time, and what sharing stage 1 and pruning spared."""
    assert material.study is not None
    assert material.board is not None
    figures, board = material.study.data.metrics, material.board
    rows = [
        ["trials complete", number(figures["trials_complete"], 0)],
        ["trials pruned", number(figures["trials_pruned"], 0)],
        ["trials failed", number(figures["trials_fail"], 0)],
        ["time in trials, all together", duration(float(board["seconds"].sum()))],
        ["of that in pruned trials", duration(float(board.loc[board["state"] == "PRUNED", "seconds"].sum()))],
        ["stage-1 epochs trained", number(figures["stage1_epochs_trained"], 0)],
        ["stage-1 epochs shared between trials", number(figures["stage1_epochs_reused"], 0)],
        ["time that sharing saved", duration(figures["saved_seconds"])],
    ]
    return table("cost", "What the sweep cost and saved", ["what", "how much"], rows)


def importance(material: Material) -> Markup:
    """Bars of each searched parameter's share in the metric's variance."""
    assert material.study is not None
    shares = {
        name.removeprefix(IMPORTANCE): value
        for name, value in material.study.data.metrics.items()
        if name.startswith(IMPORTANCE)
    }
    if not shares:
        return missing("Importance of the parameters needs four complete trials with different results.")
    rows = [[path, f"{share:.1%}", meter(share)] for path, share in sorted(shares.items(), key=lambda item: -item[1])]
    caption = (
        f"Share of each parameter in the variance of {material.metric} over the complete trials (fANOVA; Hutter et "
        "al., 2014). Of few trials it is a hint, no more."
    )
    drawn = table("importances", "Importance of each searched parameter", ["parameter", "share", "bar"], rows)
    return figure("Parameter importance", caption, drawn)


def meter(share: float) -> Markup:
    """A bar of a share from 0 to 1; the figure beside it says it in words."""
    return Markup(
        '<svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="bar first" '
        'width="{:.2f}" height="10"/></svg>'
    ).format(100 * share)


def confirmation(material: Material) -> Markup:
    """What the winning trial claimed, what fresh seeds showed of it, and which trial they chose."""
    assert material.study is not None
    figures, tags, metric = material.study.data.metrics, material.study.data.tags, material.metric
    if not tags.get("confirmed_run"):
        count = len(material.rows) - (material.base is not None)
        if count == 1:
            return missing("One trial is complete: nothing has been chosen yet.")
        return missing(
            f"The best of {count} complete trials looks better than it is, "
            "because it was chosen for that. By how much is not known: no confirmation (study.confirm) has trained the "
            "best ones again on fresh seeds."
        )
    claimed, optimism = figures[f"best_{metric}"], figures["optimism"]
    showed = claimed - optimism if material.direction == "maximize" else claimed + optimism
    said = paragraph(
        f"Trial {tags['best_trial']} claimed {metric} {number(claimed)}; trained again on fresh seeds it reached "
        f"{number(showed)} in the mean. Optimism: {signed(optimism)} (95% interval {signed(figures['optimism_low'])} "
        f"to {signed(figures['optimism_high'])})."
    ) + paragraph(
        f"The fresh seeds chose trial {tags['confirmed_trial']}: {metric} {number(figures[f'confirmed_{metric}'])} in "
        f"the mean, {number(figures[f'confirmed_{metric}_crossfit'])} cross-fitted over that choice."
    )
    if material.confirmed is None:
        return said
    caption = "Trials that were trained again, on each fresh seed"
    return said + folded("All fresh seeds", _frame("confirmation", caption, material.confirmed))


TRIALS_SHOWN = 100


def trials(material: Material) -> Markup:
    """Every trial with its parameters, pruned and failed ones too, on request."""
    assert material.board is not None
    board = material.board
    shown = board.head(TRIALS_SHOWN)
    caption = f"Trials of the study, the best first; {len(shown)} of {len(board)}"
    return folded("All trials with their parameters", _frame("trials", caption, shown.drop(columns="run_id")))


def _frame(key: str, caption: str, frame: pd.DataFrame) -> Markup:
    """A table as the sweep has left it."""
    names = [str(name) for name in frame.columns]
    rows = [
        [_cell(name, value) for name, value in zip(names, row, strict=True)] for row in frame.itertuples(index=False)
    ]
    return table(key, caption, names, rows)


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        return duration(value) if name == "seconds" else f"{value:.4g}"
    return str(value)
