"""The command ``baselines``: a table like the source report's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.compare import comparison_document, kind_label
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import out, print_json
from mobilenet_chest.cli.live import live_training
from mobilenet_chest.cli.options import EXPERIMENTS, Json, split_arguments
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.combine.baselines import baselines as train_all
from mobilenet_chest.config import load
from mobilenet_chest.config.formats import count, duration, number, with_interval
from mobilenet_chest.config.metrics import heading
from mobilenet_chest.errors import UserError

if TYPE_CHECKING:
    from mobilenet_chest.selection.rows import Row

METRICS = ("val_accuracy", "val_accuracy_tta_threshold", "val_auc")


def baselines(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[EXPERIMENT.yaml ...] [key=value ...]")] = None,
    ensembles: Annotated[
        list[str] | None, typer.Option("--ensemble", metavar="MODEL=N", help="Add an ensemble of N seeds of a model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the recipe and all baselines with the same budget.

    Without files: the source report's recipe and experiments/baselines, with a five-seed ensemble of densenet121.

    Example: mobilenet-chest baselines small.yaml --ensemble densenet121=5
    """
    with exit_codes():
        files, overrides = split_arguments(arguments)
        if not files:
            files = [
                EXPERIMENTS / "chestmnist" / "mobilenet_v3_large.yaml",
                *sorted(EXPERIMENTS.glob("baselines/*.yaml")),
            ]
            ensembles = ensembles or ["densenet121=5"]
        configs = [load(path, overrides) for path in files]
        _print_baselines(train_all(configs, dict(map(_parse_ensemble, ensembles or [])), live_training), as_json)


def _parse_ensemble(text: str) -> tuple[str, int]:
    name, equals, count = text.partition("=")
    if not equals or not count.isdigit() or int(count) < 2:
        raise UserError(f"--ensemble {text}: write a model and a number from 2 on, such as densenet121=5")
    return name, int(count)


def _print_baselines(rows: Sequence[Row], as_json: bool) -> None:
    if as_json:
        print_json(comparison_document(rows))
        return
    headings = ["name", "kind", "model", "parameters", *map(heading, METRICS), "training", "speed ratio", "1 image ms",
                "64 images ms"]  # fmt: skip
    cells = Table(headings, left=["name", "kind", "model"])
    for row in rows:
        metrics = row.metrics
        cells.add_row(
            row.name,
            kind_label(row),
            row.model,
            count(row.parameters),
            *(with_interval(metrics.get(name), row.intervals.get(name)) for name in METRICS),
            duration(metrics.get("train_seconds"), missing=""),
            number(row.baseline.get("speed_ratio")),
            *(number(metrics.get(name)) for name in ("latency_1_ms", "latency_64_ms")),
        )
    out.print(cells)
