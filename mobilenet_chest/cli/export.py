"""The command ``export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.deploy.export import export as export_file
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.deploy.export import Exported


def export(
    reference: Annotated[
        str, typer.Argument(metavar="MODEL_URI|RUN_ID|STUDY", help="models:/NAME@champion, a run, or a study.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to; it is made where it is missing.")],
    format_name: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="onnx, torch, openvino, coreml, executorch or tensorrt.")
    ] = "onnx",
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest difference allowed between the file's probabilities and the run's; 1e-5 in fp32."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a model as one file for other programs, and prove it.

    Example: mobilenet-chest export models:/chest@champion --out a
    """
    with exit_codes():
        exported = export_file(reference, format_name, out, tolerance)
        if as_json:
            print_json(asdict(exported))
        else:
            _print(exported)


def _print(exported: Exported) -> None:
    run, size = short_id(exported.run_id), exported.bytes / 1e6
    line(f"{exported.file}: run {run}, {size:.2f} MB, written in {exported.seconds:.1f} s")
    if exported.proof is not None:
        line(f"predicts as the run did: {exported.proof}")
    line(f"sha256 {exported.sha256}")
    if exported.note:
        line(exported.note)
