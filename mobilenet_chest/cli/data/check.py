"""The command ``data check``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.options import Json, RunOrStudy
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.formats import with_interval
from mobilenet_chest.selection.kinds import check_kind
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.drift import Prevalence
    from mobilenet_chest.selection.kinds import KindOfData


def check(
    reference: RunOrStudy,
    source: Annotated[Path, typer.Argument(metavar="FILE.npz", help="Images; labels are not read.")],
    split: Annotated[
        Literal["train", "val", "test"] | None, typer.Option(help="Images of this split; of all by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether images without labels are like those a run was validated on.

    Example: mobilenet-chest data check quickstart elsewhere.npz
    """
    with exit_codes():
        found = check_kind(reference, source, split)
        if as_json:
            print_json(asdict(found))
        else:
            _print(found)


def _print(kind: KindOfData) -> None:
    found = kind.found
    line(f"run {short_id(kind.run_id)} and {kind.source}: {kind.images} images, whose labels were not read")
    rows = Table(["hypothesis", *found.as_before], left=["hypothesis"], title="p, with the interval of permutations")
    for name, tests in (("as before", found.as_before), ("prevalence alone differs", found.prevalence_alone)):
        rows.add_row(name, *(with_interval(p.value, p, 3) for p in tests.values()))
    out.print(rows)
    line(f"verdict: {found.verdict}")
    line(f"share of class 1 in validation: {kind.validation_prevalence:.3f} ({kind.validation_rows} rows)")
    for name, estimate in (("by the labels given (BBSE)", found.bbse), ("by the probabilities (EM)", found.em)):
        line(f"share of class 1 {name}: {_estimate(estimate)}")


def _estimate(estimate: Prevalence) -> str:
    if estimate.share is None:
        return f"refused: {estimate.refusal}"
    return with_interval(estimate.share.value, estimate.share, 3)
