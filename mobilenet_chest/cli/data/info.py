"""The command ``data info``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.data import medmnist
from mobilenet_chest.data.npz import NpzFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mobilenet_chest.data.medmnist import DatasetInfo


def info(source: Annotated[str | None, typer.Argument(metavar="[DATASET|FILE.npz]")] = None) -> None:
    """Show data sets with their labels, or what a file holds.

    Example: mobilenet-chest data info films.npz
    """
    with exit_codes():
        if source is None:
            _print_datasets(list(map(medmnist.dataset_info, medmnist.dataset_names())))
        elif source.endswith(".npz"):
            _print_file(Path(source))
        else:
            _print_dataset(medmnist.dataset_info(source))


def _print_file(path: Path) -> None:
    """Print the rows of each class in each split; of files with several labels in a row, of each label."""
    file = NpzFile(path)
    labels = {split: file.labels(split) for split in file.splits}
    names = file.class_names()
    rows = Table(["class" if names else "label", *labels], left=["class", "label"])
    rows.add_row("(rows)", *(str(len(values)) for values in labels.values()))
    counts = {split: _counts(values, len(names or ())) for split, values in labels.items()}
    for number in sorted({number for split in counts.values() for number in split}):
        name = names[number] if names and number < len(names) else str(number)
        rows.add_row(name, *(str(split.get(number, 0)) for split in counts.values()))
    out.print(rows)


def _counts(labels: NDArray[np.integer[Any]], classes: int) -> dict[int, int]:
    """Return how many rows have each label: each value of a single column, each column of several.

    Args:
        labels: Of shape (rows, columns).
        classes: Number of values that have names; these are counted even where no row has them.
    """
    if labels.shape[1] > 1:
        return dict(enumerate(labels.sum(axis=0).tolist()))
    values, counts = np.unique(labels, return_counts=True)
    return dict.fromkeys(range(classes), 0) | dict(zip(values.tolist(), counts.tolist(), strict=True))


def _print_datasets(datasets: Sequence[DatasetInfo]) -> None:
    rows = Table(["dataset", "colour", "task", "pixels", "labels"], left=["dataset", "colour", "task", "pixels"])
    for dataset in datasets:
        rows.add_row(dataset.name, _colour(dataset), dataset.task, _sizes(dataset), str(len(dataset.label_names)))
    out.print(rows)
    line("the labels of one: mobilenet-chest data info DATASET")


def _print_dataset(dataset: DatasetInfo) -> None:
    pixels = "" if dataset.name == medmnist.PHANTOM else " pixels"
    line(f"{dataset.name}: {_colour(dataset)}, {dataset.task}, {_sizes(dataset)}{pixels}")
    rows = Table(["number", "label"], left=["label"])
    for number, label in enumerate(dataset.label_names):
        rows.add_row(str(number), label)
    out.print(rows)


def _colour(dataset: DatasetInfo) -> str:
    return "gray" if dataset.channels == 1 else "colour"


def _sizes(dataset: DatasetInfo) -> str:
    return ", ".join(map(str, dataset.sizes)) or "generated at any size"
