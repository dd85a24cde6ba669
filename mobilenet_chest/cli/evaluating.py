"""The command that scores a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest.cli import points
from mobilenet_chest.cli.reporting import reporting
from mobilenet_chest.errors import UserError

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.groups import GroupMetrics

FIGURES = ("auc", "accuracy", "sensitivity", "specificity")


def evaluate(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID")],
    split: Annotated[Literal["val", "test"], typer.Option(help="test is sealed: each opening is on record.")],
    groups: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Also figures of each group, such as sex,view.")
    ] = None,
    groups_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Columns split, row, patient and NAME, as the file may have."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Open the test split once more for the same study.")] = False,
    prevalence: points.Prevalence = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")] = False,
) -> None:
    """Score a finished run on a split."""
    with reporting():
        names = [name.strip() for name in (groups or "").split(",") if name.strip()]
        if groups is not None and not names:
            raise UserError(f"--groups '{groups}': names of columns are needed, such as sex,view")
        if again and split != "test":
            raise UserError(f"--again opens the test split once more, and --split is {split}; leave one of them out")
        from mobilenet_chest.selection.evaluate import evaluate as score
        from mobilenet_chest.selection.operating_points import check_prevalence

        check_prevalence(prevalence)
        found = score(run_id, split, again, names, groups_from)
        points.evaluation(found, prevalence, as_json)
        if found.groups and not as_json:
            _print(found.groups)


def _print(found: Sequence[GroupMetrics]) -> None:
    from rich.table import Table

    from mobilenet_chest.cli import output

    known = found[0].patients is not None
    table = Table(
        title="with 95% intervals" + (", patients drawn whole where they have several images" if known else "")
    )
    for heading in ("group", "images", *(["patients"] if known else []), "of class 1", *FIGURES, "note"):
        table.add_column(heading, justify="left" if heading in ("group", "note") else "right")
    for group in found:
        cells = [f"{group.name} {group.value}".strip(), str(group.rows), *([str(group.patients)] if known else [])]
        cells.append(str(group.positive))
        for figure in FIGURES:
            interval = group.figures.get(figure)
            cells.append(
                "" if interval is None else f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
            )
        table.add_row(*cells, group.note)
    output.out.print(table)
