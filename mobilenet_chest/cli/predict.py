"""The command ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.data.importing.summary import counted, reasons
from mobilenet_chest.registry.predict import predict_files

SHOWN = 5
"""Reasons printed."""


def predict(
    model_uri: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_URI|RUN_ID|STUDY",
            help="models:/NAME@champion, NAME/VERSION, NAME, or a promoted run or study.",
        ),
    ],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A folder, picture, table of files, .npz or .npy.")],
    out: Annotated[Path, typer.Option(help="FILE.csv or FILE.parquet.")],
    bits: Annotated[int | None, typer.Option(help="Depth of 16-bit pictures, where the model does not say it.")] = None,
    file_column: Annotated[str, typer.Option(metavar="NAME", help="Column of a table: path of the picture.")] = "file",
) -> None:
    """Predict images with a registered model.

    Example: mobilenet-chest predict models:/chest@champion films --out a.csv
    """
    with exit_codes():
        predicted = predict_files(model_uri, source, out, bits, file_column)
        line(f"{predicted.rows} predictions in {out}")
        if predicted.skipped:
            line(f"{counted(len(predicted.skipped), 'file')} skipped; see {predicted.skipped_file}")
            for reason, count in list(reasons(predicted.skipped).items())[:SHOWN]:
                line(f"  {count}: {reason}")
