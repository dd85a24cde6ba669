"""The command ``ablate``: what each choice changes on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.live import live_training
from mobilenet_chest.cli.options import Experiment, Json, load_experiment
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.combine import ablate as ablation
from mobilenet_chest.config.formats import number, signed
from mobilenet_chest.config.metrics import heading
from mobilenet_chest.errors import UserError

if TYPE_CHECKING:
    from mobilenet_chest.combine.ablate import AblationRow, MeanDifference

DEFAULT_SEEDS = 3


def ablate(
    arguments: Experiment,
    over: Annotated[
        str, typer.Option(metavar="PATH[=VALUE][+PATH=VALUE],...", help="Choices, each to be turned on alone.")
    ],
    seeds: Annotated[int | None, typer.Option(min=1, help="Consecutive seeds, the same for all; 3 by default.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Folds of train and val together, instead of seeds.")] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="RUN_ID|STUDY", help="Teacher where loss.distill_weight is on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn choices on one at a time, each against the same baseline.

    Seeds or folds are the same for all choices, so that differences are paired.

    Example: mobilenet-chest ablate small.yaml --over augment.mixup=0.2
    """
    with exit_codes():
        if seeds is not None and folds is not None:
            raise UserError("--seeds and --folds exclude each other; give one")
        choices, config = ablation.parse_choices(over), load_experiment(arguments)
        rows = ablation.ablate(config, choices, seeds or DEFAULT_SEEDS, folds, live_training, teacher)
        _print_ablation(rows, "seeds" if folds is None else "folds", as_json)


def _print_ablation(rows: Sequence[AblationRow], repeats: str, as_json: bool) -> None:
    if as_json:
        print_json({"rows": [asdict(row) for row in rows]})
        return
    metrics = list(rows[0].metrics)
    cells = Table(
        ["choice", "val AUC", *(f"Δ {heading(metric)}" for metric in metrics), "times slower"],
        left=["choice"],
        title=f"each choice alone, {len(rows[0].run_ids)} {repeats}; "
        "mean differences to the baseline, with 95% intervals",
    )
    for row in rows:
        differences = [_difference(row.differences.get(metric)) for metric in metrics]
        choice, auc = ablation.settings_text(row.choice), number(row.metrics["val_auc"], 4)
        cells.add_row(choice, auc, *differences, number(row.times_slower, 2))
    out.print(cells)
    line(f"an interval that contains 0 is no evidence for either side; more {repeats} make it narrower")


def _difference(difference: MeanDifference | None) -> str:
    if difference is None:
        return ""
    interval = f" ({signed(difference.low)} to {signed(difference.high)})" if math.isfinite(difference.low) else ""
    return f"{signed(difference.mean)}{interval}"
