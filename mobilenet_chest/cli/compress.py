"""The command ``compress``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, print_json
from mobilenet_chest.cli.live import live_training
from mobilenet_chest.cli.options import Json
from mobilenet_chest.config.metrics import label
from mobilenet_chest.deploy.compress.compress import compress as compress_run
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.deploy.compress.compress import Compressed


def compress(
    reference: Annotated[str, typer.Argument(metavar="RUN_ID|STUDY", help="A finished run; a study means its best.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value ...]", help="Overrides of what a method trains.")
    ] = None,
    *,
    method: Annotated[str, typer.Option(metavar="METHOD", help="int8, int8-qat, fp16, bf16, prune or unstructured.")],
    as_json: Json = False,
) -> None:
    """Make a model smaller or faster, and compare it with its original.

    Example: mobilenet-chest compress quickstart --method fp16
    """
    with exit_codes():
        compressed = compress_run(reference, method, overrides or (), live_training)
        if as_json:
            print_json(asdict(compressed))
        else:
            _print(compressed)


def _print(compressed: Compressed) -> None:
    metrics, run, original = compressed.metrics, short_id(compressed.run_id), short_id(compressed.original)
    line(f"run {run}: {compressed.method} of run {original}")
    line(f"size {metrics['file_bytes'] / 1e6:.2f} MB, {metrics['size_ratio']:.2f} of the original's")
    for batch in (1, 32):
        images = "1 image" if batch == 1 else f"{batch} images"
        line(f"{images}: {metrics[f'answer_{batch}_ms']:.1f} ms, {metrics[f'speed_ratio_{batch}']:.2f} times as fast")
    for name, value in compressed.choices.items():
        line(f"{name.replace('_', ' ')}: {value}")
    if compressed.method == "unstructured":
        line(f"zipped {metrics['zipped_ratio']:.2f} of the original's: only there zeros take no room")
    if "mean_change" in metrics:  # a training that goes on may change them as it likes
        line(f"probabilities change by {metrics['mean_change']:.4f} on average")
    for metric, difference in compressed.differences.items():
        verdict = "not inferior" if difference.not_inferior else "not shown to be as good"
        line(
            f"{label(metric)} {difference.value:+.4f} (95% interval {difference.low:+.4f} to {difference.high:+.4f}): "
            f"{verdict} within {difference.margin:g}"
        )
    if compressed.not_inferior:
        line(f"promote: mobilenet-chest promote {run}")
    else:
        line(f"compare: mobilenet-chest compare {run} --baseline {original}")
