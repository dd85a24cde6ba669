"""The command ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.registry.predict import predict_files


def predict(
    model_uri: Annotated[
        str, typer.Argument(metavar="MODEL_URI", help="models:/NAME@champion or models:/NAME/VERSION.")
    ],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".npz, .npy, or a folder or file of PNG or JPEG.")],
    out: Annotated[Path, typer.Option(help="FILE.csv or FILE.parquet.")],
) -> None:
    """Predict images with a registered model."""
    with exit_codes():
        line(f"{predict_files(model_uri, source, out)} predictions in {out}")
