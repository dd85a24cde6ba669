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
    from mobilenet_chest.selection.operating_points import OperatingPoints

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
    as_json: Json = False,
) -> None:
    """Show calibration and operating points of a run.

    They are computed from the run's stored predictions.

    Example: mobilenet-chest points quickstart --prevalence 0.05
    """
    with exit_codes():
        found = operating_points(reference, split, prevalence)
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
