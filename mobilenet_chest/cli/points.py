"""The command ``points``: calibration and operating points of a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.ledger import print_accesses
from mobilenet_chest.cli.options import Json, Prevalence, RunOrStudy
from mobilenet_chest.config.formats import number, with_interval
from mobilenet_chest.selection.operating_points import operating_points

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
"""Headings of columns by the names of metrics."""


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
    line(f"run {points.run_id}, {points.split}: {points.rows} images; temperature {points.temperature:.3f}")
    for rows in (_calibration(points), _targets(points), _thresholds(points)):
        out.print(rows)


def _calibration(points: OperatingPoints) -> Table:
    rows = Table("probabilities", "ECE", "ECE if calibrated", "Brier", "log-loss")
    how = "cross-fitted" if points.split == "val" else "temperature of val"
    kinds = (("as trained", points.scores, ""), (f"calibrated, {how}", points.calibrated, "_calibrated"))
    for name, scores, suffix in kinds:
        ece, *proper = (_cell(points.intervals[f"{score}{suffix}"]) for score in ("ece", "brier", "log_loss"))
        rows.add_row(name, ece, number(scores["ece_bias"], 3), *proper)
    return rows


def _targets(points: OperatingPoints) -> Table:
    rows = Table("at least", "threshold", "gives")
    for target in points.targets:
        other = "sensitivity" if target.fixed == "specificity" else "specificity"
        gives = f"{other} {_cell(target.value)}"
        rows.add_row(f"{target.fixed} {target.at:.2f}", number(target.threshold, 4), gives)
    return rows


def _thresholds(points: OperatingPoints) -> Table:
    rows = Table("prevalence", "threshold", *METRICS.values())
    for at in points.figures:
        cells = (_cell(getattr(at, name)) for name in METRICS)
        rows.add_row(number(at.prevalence, 4), number(at.threshold, 4), *cells)
    return rows


def _cell(interval: Interval) -> str:
    return with_interval(interval.value, interval, 3)
