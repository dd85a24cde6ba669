"""The command about calibration and operating points, and how they are printed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest.cli.reporting import reporting

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.intervals import Interval
    from mobilenet_chest.selection.evaluate import Evaluation
    from mobilenet_chest.selection.operating_points import OperatingPoints

Prevalence = Annotated[
    float | None, typer.Option(metavar="SHARE", help="Also what the figures become where class 1 has this share.")
]


def points(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID")],
    split: Annotated[
        Literal["val", "test"], typer.Option(help="Whose stored predictions; test is not opened for it.")
    ] = "val",
    prevalence: Prevalence = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")] = False,
) -> None:
    """Calibration and operating points of a run, from its stored predictions."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.selection.operating_points import operating_points

        found = operating_points(run_id, split, prevalence)
        if as_json:
            output.print_json(asdict(found))
        else:
            _show(found)
            if split == "test":
                output.openings(found.openings)


def evaluation(result: Evaluation, prevalence: float | None, as_json: bool) -> None:
    """What ``evaluate`` prints: the figures of the split, and the operating points where a prevalence is given."""
    from mobilenet_chest.cli import output
    from mobilenet_chest.selection.operating_points import operating_points

    if prevalence is None:
        output.evaluation(result, as_json)
        return
    found = operating_points(result.run_id, result.split, prevalence)
    if as_json:
        output.print_json(asdict(result) | {"intervals": output.ends(result.intervals), "points": asdict(found)})
    else:
        output.evaluation(result, as_json)
        _show(found)


def _show(found: OperatingPoints) -> None:
    """Three tables: calibration, points at a fixed sensitivity or specificity, and what thresholds give."""
    from rich.table import Table

    from mobilenet_chest.cli import output

    output.line(f"run {found.run_id}, {found.split}: {found.rows} images; temperature {found.temperature:.3f}")
    calibration = Table("probabilities", "ECE", "by chance", "Brier", "log-loss")
    how = "cross-fitted" if found.split == "val" else "temperature of val"
    kinds = (("as trained", found.scores, ""), (f"calibrated, {how}", found.calibrated, "_calibrated"))
    for name, scores, suffix in kinds:
        error, *proper = (_with_interval(found.intervals[f"{score}{suffix}"]) for score in ("ece", "brier", "log_loss"))
        calibration.add_row(name, error, f"{scores['ece_bias']:.3f}", *proper)
    targets = Table("at least", "threshold", "gives")
    for target in found.targets:
        other = "sensitivity" if target.fixed == "specificity" else "specificity"
        gives = f"{other} {_with_interval(target.value)}"
        targets.add_row(f"{target.fixed} {target.at:.2f}", f"{target.threshold:.4f}", gives)
    names = {"sensitivity": "sensitivity", "specificity": "specificity", "accuracy": "accuracy", "ppv": "PPV",
             "npv": "NPV"}  # fmt: skip
    figures = Table("prevalence", "threshold", *names.values())
    for one in found.figures:
        cells = (_with_interval(getattr(one, name)) for name in names)
        figures.add_row(f"{one.prevalence:.4f}", f"{one.threshold:.4f}", *cells)
    for table in (calibration, targets, figures):
        output.out.print(table)


def _with_interval(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"
