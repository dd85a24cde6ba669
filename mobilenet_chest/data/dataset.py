"""Splits of the two-class task as tensors, read in one way from downloaded, local and synthetic files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from mobilenet_chest import cache
from mobilenet_chest.config import DataConfig
from mobilenet_chest.data import medmnist
from mobilenet_chest.data.data_file import open_file, open_source, source_file
from mobilenet_chest.data.division import held_out, sites
from mobilenet_chest.data.duplicates import not_duplicated
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.task import Task, find_task
from mobilenet_chest.errors import DataError

SplitName = Literal["train", "val", "test"]

_FILE = "split.safetensors"


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of one split that belong to the two classes.

    Attributes:
        images: uint8 (n, c, image_size, image_size), c 1 or 3, resized.
        labels: uint8 (n,), 0 or 1.
        rows: int64 (n,), row numbers in the file, ascending.
        digest: SHA-256 (hex) of the stored pixels of these rows, before resizing, and their labels.
        patients: Patient of each row, text (n,), empty where it is unknown; ``None`` where the file names none.
        stored: Shorter side in pixels of the images in the file; ``None`` where that is unknown.
    """

    images: Tensor
    labels: Tensor
    rows: NDArray[np.int64]
    digest: str
    patients: NDArray[np.str_] | None = None
    stored: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def rows_of_classes(self) -> dict[int, int]:
        """Return how many rows are of class 0 and 1."""
        positive = int(self.labels.sum())
        return {0: len(self) - positive, 1: positive}


@dataclass(frozen=True, eq=False)
class TrainVal:
    """The rows that training and selection may see: never those of the test split.

    With ``data.folds`` or ``data.split_seed`` they are the file's train and val rows, divided again. Then ``rows``
    counts val's rows after train's.

    Attributes:
        classes: Names of class 0 and class 1.
        digest: SHA-256 (first 16 hex digits) of the digests of both splits.
        source: Where the rows came from: a path, or the dataset's name.
        name: What reports call the data.
        dropped: How many training rows ``data.drop_duplicates`` has left out.
    """

    train: Split
    val: Split
    classes: tuple[str, str]
    digest: str
    source: str
    name: str
    dropped: int = 0

    @property
    def channels(self) -> int:
        """1 for gray images, 3 for colour."""
        return int(self.train.images.shape[1])

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of rows of each split and class name."""
        return {name: class_counts(split, self.classes) for name, split in (("train", self.train), ("val", self.val))}


def class_counts(split: Split, classes: tuple[str, str]) -> dict[str, int]:
    """Return the number of rows of each class, by its name."""
    return {classes[label]: rows for label, rows in split.rows_of_classes().items()}


@lru_cache(maxsize=1)
def load_train_val(config: DataConfig) -> TrainVal:
    """Read, filter and resize the training and validation rows; return the same object for the same config.

    Raises:
        DataError: The file is missing, damaged or of another layout, a class name is wrong, or a split has no row of
            one class.
    """
    source = source_file(config)
    task = find_task(config, lambda: open_source(source, config))
    train, val = (_cached_split(source, name, config, task) for name in ("train", "val"))
    if train.images.shape[1:] != val.images.shape[1:]:
        raise DataError(
            f"{_name(config)}: train images are {tuple(train.images.shape[1:])}, val {tuple(val.images.shape[1:])}"
        )
    if config.divided:
        train, val = _divided(open_source(source, config), config, train, val)
    rows = len(train)
    if config.drop_duplicates:
        train = _without_duplicates(train, val, task.classes)
    digest = hashlib.sha256(f"{train.digest} {val.digest}".encode()).hexdigest()[:16]
    return TrainVal(train, val, task.classes, digest, _name(config), config.name or task.info.name, rows - len(train))


def load_sites(config: DataConfig) -> dict[str, int]:
    """Return how many rows of train and val each site has: name -> rows, in the order of the folds by site.

    Raises:
        DataError: As :func:`load_train_val`, or a site cannot be left out.
    """
    whole = {"folds": None, "fold": 0, "fold_by": "rows", "split_seed": None, "drop_duplicates": False}
    data = load_train_val(config.model_copy(update=whole))
    labels = torch.cat([data.train.labels, data.val.labels]).numpy()
    names, numbers = sites(open_file(config), (data.train.rows, data.val.rows), labels)
    return dict(zip(names, np.bincount(numbers).tolist(), strict=True))


def load_test(config: DataConfig) -> Split:
    """Read the sealed test rows. Only ``evaluate`` and ``promote`` may call this, after selection is over.

    Raises:
        DataError: As :func:`load_train_val`, and when the file has no test split.
    """
    file = open_file(config)
    return _read_split(file, "test", config, find_task(config, lambda: file))


def describe_test(config: DataConfig) -> tuple[str, tuple[int, int]]:
    """Return the digest of the sealed test rows (first 16 hex digits) and the number of images of each class.

    Neither pixels nor labels of single images leave this function: a claim names the rows that it is about.

    Raises:
        DataError: As :func:`load_test`.
    """
    rows = load_test(config)
    counts = rows.rows_of_classes()
    return rows.digest[:16], (counts[0], counts[1])


def stored_validation_images(config: DataConfig, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return images as stored, uint8 (n, h, w) or (n, h, w, 3), by the ascending ``row`` of validation predictions."""
    file = open_source(source_file(config), config)
    if not config.divided:
        return file.rows("val", rows)
    in_train = file.row_count("train")
    of_train = rows < in_train
    parts = [file.rows("train", rows[of_train]), file.rows("val", rows[~of_train] - in_train)]
    return np.concatenate(parts)


def resize(images: Tensor, size: int) -> Tensor:
    """Resize uint8 (n, c, h, w) to uint8 (n, c, size, size), bicubic and antialiased, as the served model does."""
    if images.shape[-2:] == (size, size):
        return images
    chunks = [
        functional.interpolate(chunk.float(), (size, size), mode="bicubic", antialias=True).round().clamp(0, 255).byte()
        for chunk in images.split(256)  # floats of all rows at once would take many times the memory
    ]
    return torch.cat(chunks)


def _name(config: DataConfig) -> str:
    return str(config.path or config.title)


def _cached_split(source: Path | None, name: SplitName, config: DataConfig, task: Task) -> Split:
    """Return what :func:`_read_split` does, decoded once: the next start memory-maps the rows from the cache.

    A file counts as unchanged while its path, size and time of change are the same; the phantom, while the code is.
    """
    if cache.folder() is None or (source is not None and not source.exists()):
        return _read_split(open_source(source, config), name, config, task)
    parts = {
        "file": None if source is None else [str(source), *cache.file_state(source)],
        "dataset": task.info.task,
        "labels": task.info.label_names,
        "split": name,
        "columns": task.members,
        "source_size": config.source_size,
        "image_size": config.image_size,
        "code": cache.source_digest("data"),
    }

    def make(folder: Path) -> dict[str, Any]:
        split = _read_split(open_source(source, config), name, config, task)
        tensors = {"images": split.images, "labels": split.labels, "rows": torch.from_numpy(split.rows)}
        if split.patients is not None:  # text as code points, (n, characters): a tensor holds numbers only
            tensors["patients"] = torch.from_numpy(split.patients.view(np.int32).reshape(len(split), -1))
        cache.write(folder / _FILE, [save(tensors)])
        return {"digest": split.digest, "stored": split.stored}

    def load(folder: Path, known: dict[str, Any]) -> Split:
        with safe_open(folder / _FILE, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        patients = tensors.get("patients")
        text = None if patients is None else patients.numpy().view(np.dtype(("U", patients.shape[1])))[:, 0]
        return Split(
            tensors["images"], tensors["labels"], tensors["rows"].numpy(), known["digest"], text, known["stored"]
        )

    about = f"{name} of {_name(config)}, {config.image_size} pixels"
    return cache.cached("data", about, parts, make, load)[0]


def _divided(file: NpzFile, config: DataConfig, train: Split, val: Split) -> tuple[Split, Split]:
    """Divide the rows of both splits into those to train on and those held out: a fold, or as many as val has."""
    rows = np.concatenate([train.rows, val.rows + file.row_count("train")])
    images, labels = torch.cat([train.images, val.images]), torch.cat([train.labels, val.labels])
    names = None
    if train.patients is not None and val.patients is not None:
        names = np.concatenate([train.patients, val.patients])
    chosen_rows = held_out(file, config, (train.rows, val.rows), labels.numpy())

    def part(chosen: NDArray[np.bool_]) -> Split:
        mask = torch.from_numpy(chosen)
        digest = hashlib.sha256(f"{train.digest} {val.digest} ".encode() + chosen.tobytes()).hexdigest()
        of_part = None if names is None else names[chosen]
        return Split(images[mask], labels[mask], rows[chosen], digest, of_part, train.stored)

    return part(~chosen_rows), part(chosen_rows)


def _without_duplicates(train: Split, val: Split, classes: tuple[str, str]) -> Split:
    kept = not_duplicated(train.images.numpy(), train.labels.numpy(), val.images.numpy())
    if kept.all():
        return train
    mask = torch.from_numpy(kept)
    labels = train.labels[mask]
    for label, name in enumerate(classes):
        if not (labels == label).any():
            raise DataError(
                f"data.drop_duplicates: no training row of '{name}' is left, as all are duplicates of validation rows; "
                "set it to false, or choose another file"
            )
    digest = hashlib.sha256(f"{train.digest} ".encode() + kept.tobytes()).hexdigest()
    patients = None if train.patients is None else train.patients[kept]
    return Split(train.images[mask], labels, train.rows[kept], digest, patients, train.stored)


def _read_split(file: NpzFile, name: SplitName, config: DataConfig, task: Task) -> Split:
    rows, target = task.select(file.labels(name))
    for label, class_name in enumerate(task.classes):
        if not (target == label).any():
            only = ", counting rows with exactly one label" if task.info.task == medmnist.MULTI_LABEL else ""
            raise DataError(
                f"{file.name}: no row of '{name}' is '{class_name}'{only}; the other class has {len(rows)} rows, and "
                "both need some: choose other data.classes or another file"
            )
    as_stored = stored_split(file, name, rows, target)
    return replace(as_stored, images=resize(as_stored.images, config.image_size))


def stored_split(file: NpzFile, name: str, rows: NDArray[np.intp], target: NDArray[np.uint8]) -> Split:
    """Return rows of a split with their labels (n,), their images of the size that the file has."""
    stored = file.rows(name, rows)
    digest = hashlib.sha256(str(stored.shape).encode())
    digest.update(stored.tobytes())
    digest.update(target.tobytes())
    pixels = torch.from_numpy(stored)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    patients = file.patients(name)
    if patients is not None:
        patients = patients[rows].astype(np.str_)
    labels, side = torch.from_numpy(target), min(pixels.shape[-2:])
    return Split(pixels.contiguous(), labels, rows.astype(np.int64), digest.hexdigest(), patients, side)
