"""The command ``evaluate``: score a run on a split or on data of another source, as a whole and in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest.cli.claim import print_claims
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import interval_ends, line, metric_lines, out, print_json
from mobilenet_chest.cli.ledger import print_accesses
from mobilenet_chest.cli.options import Again, GroupsFrom, Json, Prevalence, RunOrStudy
from mobilenet_chest.cli.points import print_points
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.formats import signed_interval, with_interval
from mobilenet_chest.errors import UserError
from mobilenet_chest.selection.access import cohort_prefix
from mobilenet_chest.selection.cohorts import evaluate_cohort
from mobilenet_chest.selection.evaluate import evaluate as score
from mobilenet_chest.selection.operating_points import check_prevalence, operating_points
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.groups import GroupMetrics
    from mobilenet_chest.selection.cohorts import CohortEvaluation
    from mobilenet_chest.selection.evaluate import Evaluation
    from mobilenet_chest.selection.operating_points import OperatingPoints

GROUP_METRICS = ("auc", "accuracy", "sensitivity", "specificity")


def evaluate(
    reference: RunOrStudy,
    split: Annotated[
        Literal["val", "test"] | None,
        typer.Option(help="Split to score; test is sealed, and each access is recorded."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="COHORT.npz|YAML", help="Score data of another source instead of a split.")
    ] = None,
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="What these data are called.")] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Add the results of each group, such as sex,view.")
    ] = None,
    groups_from: GroupsFrom = None,
    again: Again = False,
    prevalence: Prevalence = None,
    as_json: Json = False,
) -> None:
    """Score a finished run on a split, or on data of another source.

    Example: mobilenet-chest evaluate quickstart --split val --groups sex,view
    """
    with exit_codes():
        names = [name.strip() for name in (groups or "").split(",") if name.strip()]
        if groups is not None and not names:
            raise UserError(f"--groups '{groups}': name columns, such as sex,view")
        if data is not None:
            _check_fits_data(split, name, groups_from, prevalence)
            print_cohort(evaluate_cohort(reference, data, str(name), again, names), as_json)
            return
        if split is None:
            raise UserError("evaluate needs --split val, --split test, or --data FILE --as NAME")
        if name is not None:
            raise UserError(f"--as {name} names data of another source, given with --data FILE; leave it out")
        if again and split != "test":
            raise UserError(f"--again opens the test split once more, and --split is {split}; leave one of them out")
        check_prevalence(prevalence)
        evaluation = score(reference, split, again, names, groups_from)
        points = None if prevalence is None else operating_points(evaluation.run_id, split, prevalence)
        print_evaluation(evaluation, points, as_json)


def _check_fits_data(
    split: str | None, name: str | None, groups_from: Path | None, prevalence: float | None
) -> None:  # fmt: skip
    for option, given in (("split", split), ("groups-from", groups_from), ("prevalence", prevalence)):
        if given is not None:
            raise UserError(f"--{option} {given} is for a split of the run's own file, not for --data; leave it out")
    if name is None:
        raise UserError("--data needs --as NAME: what these data are called in MLflow, such as --as clinic-b")


def print_cohort(evaluation: CohortEvaluation, as_json: bool) -> None:
    """Print the metrics of a cohort, their differences from validation, its sites and its accesses."""
    if as_json:
        print_json(asdict(evaluation) | {"intervals": interval_ends(evaluation.intervals)})
        return
    run, name = short_id(evaluation.run_id), evaluation.cohort
    line(f"run {run}, cohort {name}: {evaluation.rows} images, {evaluation.prevalence:.1%} of class 1, digest "
         f"{evaluation.digest}")  # fmt: skip
    rows = Table(["metric", name, "minus validation"], left=["metric"], title="with 95% intervals", key=2)
    prefix = cohort_prefix(name)
    for full, value in evaluation.metrics.items():
        score = full.removeprefix(f"{prefix}_")
        difference = evaluation.differences.get(score)
        apart = "" if difference is None else signed_interval(difference.value, difference)
        rows.add_row(score, with_interval(value, evaluation.intervals.get(full)), apart)
    out.print(rows)
    print_accesses(evaluation.openings)
    if evaluation.groups:
        _print_groups(evaluation.groups)
    print_claims(evaluation.claims)


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
        print_claims(evaluation.claims)
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
