"""The command ``ab``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.formats import number, signed
from mobilenet_chest.deploy import ab as comparisons
from mobilenet_chest.deploy.monitor.windows import since_time

if TYPE_CHECKING:
    from mobilenet_chest.deploy.ab import AbComparison, Agreement, Arm
    from mobilenet_chest.evaluation.sequential import Sequential

MISSING = "–"


def ab(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The registered model that `serve` was started with.")],
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Labels that are known by now: label, and patient_id or request_id."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only answers since a date, or a time ago such as 7d.")
    ] = None,
    log_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the log, where serve was given another.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the models that a server asks, by its log of answers.

    The evidence may be looked at every day: that makes no difference look real.

    Example: mobilenet-chest ab chest --labels labels.csv
    """
    with exit_codes():
        start = None if since is None else since_time(since, datetime.now(UTC))
        comparison = comparisons.compare(name, labels, start, log_dir)
        step = comparisons.next_step(comparison)
        if as_json:
            print_json(asdict(comparison) | {"next": step or None})
        else:
            _print(comparison, step)


def _print(comparison: AbComparison, step: str) -> None:
    first, second = comparison.arms
    rows = Table(["", first.arm, second.arm], left=[""], title=f"answers for '{comparison.name}'")
    for label, cells in _rows(first, second):
        rows.add_row(label, *cells)
    out.print(rows)
    if comparison.left_out:
        line(f"left out: {comparison.left_out} answers of other versions or comparisons")
    if comparison.agreement is not None:
        _print_agreement(comparison.agreement)
    if comparison.unmatched:
        line(f"{comparison.unmatched} labels fit no answer")
    if comparison.sequential is None:
        line(f"which one is right, labels show: mobilenet-chest ab {comparison.name} --labels FILE.csv")
    else:
        _print_evidence(comparison.sequential, comparison, step)


def _rows(first: Arm, second: Arm) -> list[tuple[str, list[str]]]:
    arms, same = (first, second), first.model == second.model
    rows = [
        ("version", [arm.version if same else f"{arm.model} {arm.version}" for arm in arms]),
        ("images", [str(arm.images) for arm in arms]),
        ("patients", [str(arm.patients) for arm in arms]),
        ("share with label 1", [number(arm.positive, 3) for arm in arms]),
        ("mean probability", [number(arm.mean_probability, 3) for arm in arms]),
    ]
    scored = [arm.scored for arm in arms if arm.scored is not None]
    if len(scored) == 2:
        rows += [("patients with a label", [str(score.n) for score in scored])]
        for name in ("accuracy", "sensitivity", "specificity"):
            rows.append((name, [number(getattr(score, name), 4, MISSING) for score in scored]))
    return rows


def _print_agreement(agreement: Agreement) -> None:
    if not agreement.images:
        line("no image has both answers yet")
        return
    line(f"the same label for {agreement.same_label:.1%} of {agreement.images} images; label 1 by the champion alone: "
         f"{agreement.only_champion}, by the shadow alone: {agreement.only_shadow}")  # fmt: skip
    line(f"the shadow's probability minus the champion's: mean {signed(agreement.mean_difference)}, mean size "
         f"{agreement.mean_absolute_difference:.4f}, largest {agreement.largest_difference:.4f}")  # fmt: skip


def _print_evidence(evidence: Sequential, comparison: AbComparison, step: str) -> None:
    second = comparison.arms[1].arm
    if not evidence.n:
        line("no patient with a label counts yet")
        return
    line(f"accuracy of the {second} minus the champion's: {signed(evidence.value)}, at all looks together with 95% "
         f"confidence between {signed(evidence.low)} and {signed(evidence.high)}")  # fmt: skip
    line(f"evidence of a difference: {number(evidence.e_value, 2)}; from {comparisons.LIMIT:g} on it is shown, and no "
         "earlier look counts against it")  # fmt: skip
    if comparison.better is None:
        line("no difference is shown yet: go on, and look again when there are more labels")
    else:
        line(f"the {comparison.better} is better: stop the comparison")
        line(f"next: {step}")
