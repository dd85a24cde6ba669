"""The command ``evaluate``: score a run on a split, as a whole and in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import interval_ends, line, metric_lines, out, print_json
from mobilenet_chest.cli.ledger import print_accesses
from mobilenet_chest.cli.options import Again, GroupsFrom, Json, Prevalence, RunOrStudy
from mobilenet_chest.cli.points import print_points
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.formats import with_interval
from mobilenet_chest.errors import UserError
from mobilenet_chest.selection.evaluate import evaluate as score
from mobilenet_chest.selection.operating_points import check_prevalence, operating_points
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.groups import GroupMetrics
    from mobilenet_chest.selection.evaluate import Evaluation
    from mobilenet_chest.selection.operating_points import OperatingPoints

GROUP_METRICS = ("auc", "accuracy", "sensitivity", "specificity")


def evaluate(
    reference: RunOrStudy,
    split: Annotated[
        Literal["val", "test"], typer.Option(help="Split to score; test is sealed, and each access is recorded.")
    ],
    groups: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Add the results of each group, such as sex,view.")
    ] = None,
    groups_from: GroupsFrom = None,
    again: Again = False,
    prevalence: Prevalence = None,
    as_json: Json = False,
) -> None:
    """Score a finished run on the validation or the test split.

    Example: mobilenet-chest evaluate quickstart --split val --groups sex,view
    """
    with exit_codes():
        names = [name.strip() for name in (groups or "").split(",") if name.strip()]
        if groups is not None and not names:
            raise UserError(f"--groups '{groups}': name columns, such as sex,view")
        if again and split != "test":
            raise UserError(f"--again opens the test split once more, and --split is {split}; leave one of them out")
        check_prevalence(prevalence)
        evaluation = score(reference, split, again, names, groups_from)
        points = None if prevalence is None else operating_points(evaluation.run_id, split, prevalence)
        print_evaluation(evaluation, points, as_json)


def print_evaluation(evaluation: Evaluation, points: OperatingPoints | None, as_json: bool) -> None:
    """Print the metrics of a split, then operating points and groups where they were asked for."""
    if as_json:
        document = asdict(evaluation) | {"intervals": interval_ends(evaluation.intervals)}
        print_json(document | ({} if points is None else {"points": asdict(points)}))
        return
    run, accesses = short_id(evaluation.run_id), len(evaluation.openings)
    line(f"run {run}, {evaluation.split}: {evaluation.rows} images; test accesses so far: {accesses}")
    metric_lines(evaluation.metrics, evaluation.intervals)
    if evaluation.split == "test":
        print_accesses(evaluation.openings)
    if points is not None:
        print_points(points)
    if evaluation.groups:
        _print_groups(evaluation.groups)


def _print_groups(groups: Sequence[GroupMetrics]) -> None:
    by_patient = groups[0].patients is not None
    clustered = ", clustered by patient where patients have several images" if by_patient else ""
    rows = Table(
        ["group", "images", *(["patients"] if by_patient else []), "of class 1", "note", *GROUP_METRICS],
        left=["group", "note"],
        title=f"with 95% intervals{clustered}",
    )
    for group in groups:
        counts = [group.rows, *([group.patients] if by_patient else []), group.positive]
        cells = []
        for metric in GROUP_METRICS:
            interval = group.figures.get(metric)
            cells.append(with_interval(interval.value, interval, 3) if interval else "")
        rows.add_row(f"{group.name} {group.value}".strip(), *map(str, counts), group.note, *cells)
    out.print(rows)
