"""The command ``data fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.data.medmnist import fetch_dataset


def fetch(
    dataset: Annotated[str, typer.Argument(metavar="DATASET")],
    size: Annotated[int, typer.Option(help="28, 64, 128 or 224 pixels.")] = 28,
    root: Annotated[Path, typer.Option(help="Folder to keep it in.")] = Path("~/.medmnist"),
) -> None:
    """Download a MedMNIST file.

    A broken download is resumed, and the file's MD5 is checked.

    Example: mobilenet-chest data fetch pneumoniamnist --size 64
    """
    with exit_codes():
        line(str(fetch_dataset(dataset, size, root.expanduser())))
