"""The command ``points``: calibration and operating points of a run."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.ledger import print_accesses
from mobilenet_chest.cli.options import Json, Prevalence, RunOrStudy
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.formats import number, with_interval
from mobilenet_chest.selection.operating_points import operating_points
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.intervals import Interval
    from mobilenet_chest.selection.operating_points import Abstention, OperatingPoints

METRICS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "ppv": "PPV",
    "npv": "NPV",
}
"""What metrics are called here, by their names."""

SCORES = {"ece": "ECE", "brier": "Brier", "log_loss": "log-loss"}
"""What scores of probabilities are called here, by their names."""


def points(
    reference: RunOrStudy,
    split: Annotated[
        Literal["val", "test"], typer.Option(help="Split of the stored predictions; test is not opened for it.")
    ] = "val",
    prevalence: Prevalence = None,
    error_rate: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Show answers that may abstain, with this promised error rate."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show calibration and operating points of a run.

    They are computed from the run's stored predictions.

    Example: mobilenet-chest points quickstart --prevalence 0.05
    """
    with exit_codes():
        found = operating_points(reference, split, prevalence, error_rate)
        if as_json:
            print_json(asdict(found))
            return
        print_points(found)
        if split == "test":
            print_accesses(found.openings)


def print_points(points: OperatingPoints) -> None:
    """Print three tables: calibration, points at a fixed sensitivity or specificity, and metrics at thresholds."""
    line(f"run {short_id(points.run_id)}, {points.split}: {points.rows} images; temperature {points.temperature:.3f}")
    for rows in (_calibration(points), _targets(points), _thresholds(points)):
        out.print(rows)
    if points.abstention is not None:
        print_abstention(points.abstention)


def print_abstention(found: Abstention) -> None:
    """Print the promise, what became of it, and the risk of answering fewer images."""
    rule, result = found.rule, found.result
    rows = Table(["class", "kept where", "promised", "kept on these images"], left=["class", "kept where"],
                 title=f"answers with at most {rule.rate:.0%} errors in each class")  # fmt: skip
    for label, (sign, end) in enumerate((("≤", rule.below), ("≥", rule.above))):
        where = f"probability {sign} {end:.4f}" if math.isfinite(end) else "always: too few images"
        low, high = found.spread[label]
        promised = f"{1 - rule.rate:.3f} ({low:.3f}–{high:.3f})"
        broken = ", broken" if label in result.broken else ""
        rows.add_row(str(label), where, promised, _cell(result.covered[label]) + broken)
    out.print(rows)
    line(f"one class {_cell(result.one)}, wrong in {_cell(result.errors)} of these; refer: both classes "
         f"{_cell(result.both)}, neither {_cell(result.none)}")  # fmt: skip
    risks = ", ".join(f"{float(share):.0%}: {risk:.3f}" for share, risk in found.risk_at.items())
    line(f"risk where the surest are answered, at the run's threshold: {risks}; mean {found.risk:.3f}")


def _calibration(points: OperatingPoints) -> Table:
    how = "cross-fitted" if points.split == "val" else "temperature of val"
    rows = Table(["probabilities", "as trained", f"calibrated, {how}"], left=["probabilities"])
    for score, name in SCORES.items():
        rows.add_row(name, *(_cell(points.intervals[f"{score}{suffix}"]) for suffix in ("", "_calibrated")))
        if score == "ece":
            biases = (number(scores["ece_bias"], 3) for scores in (points.scores, points.calibrated))
            rows.add_row("ECE if calibrated", *biases)
    return rows


def _targets(points: OperatingPoints) -> Table:
    rows = Table(["at least", "threshold", "gives"], left=["at least", "gives"])
    for target in points.targets:
        other = "sensitivity" if target.fixed == "specificity" else "specificity"
        gives = f"{other} {_cell(target.value)}"
        rows.add_row(f"{target.fixed} {target.at:.2f}", number(target.threshold, 4), gives)
    return rows


def _thresholds(points: OperatingPoints) -> Table:
    prevalences = [number(at.prevalence, 4) for at in points.figures]
    rows = Table(["prevalence", *prevalences], left=["prevalence"])
    rows.add_row("threshold", *(number(at.threshold, 4) for at in points.figures))
    for name, shown in METRICS.items():
        rows.add_row(shown, *(_cell(getattr(at, name)) for at in points.figures))
    return rows


def _cell(interval: Interval) -> str:
    if math.isnan(interval.value):  # such as the NPV where no image is called negative
        return "undefined"
    return with_interval(interval.value, interval, 3)
