"""The command ``data info``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.data import medmnist
from mobilenet_chest.data.npz import NpzFile


def info(source: Annotated[str | None, typer.Argument(metavar="[DATASET|FILE.npz]")] = None) -> None:
    """Show data sets with their labels, or what a file holds."""
    with exit_codes():
        if source is not None and source.endswith(".npz"):
            _print_file(Path(source))
        else:
            for name in [source] if source is not None else medmnist.dataset_names():
                _print_dataset(name)


def _print_file(path: Path) -> None:
    file = NpzFile(path)
    names = file.class_names()
    for split in file.splits:
        labels = file.labels(split)
        if names and labels.shape[1] == 1 and int(labels.max(initial=0)) < len(names):
            counts = ", ".join(f"{name} {int((labels == number).sum())}" for number, name in enumerate(names))
            line(f"{split}: {len(labels)} rows: {counts}")
            continue
        line(f"{split}: {len(labels)} rows, labels {labels.shape}, sums {labels.sum(axis=0).tolist()}")


def _print_dataset(name: str) -> None:
    dataset = medmnist.dataset_info(name)
    phantom = name == medmnist.PHANTOM
    sizes = "generated at any size" if phantom else ", ".join(map(str, dataset.sizes)) + " pixels"
    colour = "gray" if dataset.channels == 1 else "colour"
    line(f"{dataset.name}: {colour}, {dataset.task}, {sizes}; labels: {', '.join(map(repr, dataset.label_names))}")
