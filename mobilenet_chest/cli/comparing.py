"""The command ``compare``."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from mobilenet_chest.cli.reporting import reporting


def compare(
    references: Annotated[list[str] | None, typer.Argument(metavar="[STUDY|RUN_ID|EXPERIMENT ...]")] = None,
    baseline: Annotated[str | None, typer.Option(metavar="RUN_ID|STUDY", help="Set the others against this.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="What may be lost against the baseline, of AUC and accuracy: 0.01 is a point.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="A further metric to have interval and difference: val_brier, val_loss, ….")
    ] = None,
    reported: Annotated[bool, typer.Option(help="Add the source report's figures, not reproduced here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")] = False,
) -> None:
    """Runs and studies side by side, with intervals; without names, all of them."""
    with reporting(), _uncollected():
        from mobilenet_chest.cli import compared
        from mobilenet_chest.selection.compare import compare as rows_of

        compared.comparison(rows_of(references or [], baseline, reported, margin, metric), metric, as_json)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collections of what stays in use to the end anyway (imports, hundreds of runs) take a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
