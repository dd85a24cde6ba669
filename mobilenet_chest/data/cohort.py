"""A cohort: labelled images of another source, such as another hospital, on which a finished run is scored.

A cohort has no splits. All rows of its file count, whichever split they are in, and are numbered one split after the
other in the order train, val, test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mobilenet_chest.config import ClassGroup, DataConfig, load
from mobilenet_chest.data import medmnist
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.dataset import Split, resize, stored_split
from mobilenet_chest.data.division import SITE
from mobilenet_chest.data.npz import SPLITS, NpzFile
from mobilenet_chest.data.task import Task, find_task
from mobilenet_chest.errors import DataError, nearest

YAML = (".yaml", ".yml")


class CohortFile(NpzFile):
    """A data file of which no split is sealed: every split may name the classes."""

    @property
    def naming_splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """All splits that have images and labels."""
        return self.splits


@dataclass(frozen=True, eq=False)
class Cohort:
    """Images and labels of another source.

    Attributes:
        source: Its file.
        split: The rows of the two classes.
        columns: Sites and other columns that were asked for, by name: text (n,), empty where a value is unknown.
    """

    source: Path
    split: Split
    columns: dict[str, NDArray[np.str_]]

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of the stored pixels and labels."""
        return self.split.digest[:16]

    @property
    def prevalence(self) -> float:
        """Share of class 1."""
        return self.split.rows_of_classes()[1] / len(self.split)


def cohort_config(source: Path, config: DataConfig, classes: tuple[str, str]) -> DataConfig:
    """Return what describes a cohort's file as an experiment's ``data`` would.

    Args:
        source: A ``.npz`` in MedMNIST's layout, or a YAML file with a section ``data``, which names file and classes.
        config: The data of the run that is to be scored.
        classes: Names of the run's classes.

    Raises:
        DataError: The file has another ending or is not there, or its classes have other names than the run's.
        ConfigError: The YAML file is wrong.
    """
    if source.suffix not in (*YAML, ".npz"):
        raise DataError(f"--data {source}: give a .npz file, or a YAML file with a section data; see the page cohorts")
    if not source.exists():
        raise DataError(f"--data {source}: there is no such file")
    if source.suffix in YAML:
        described = load(source).data
        names = [each.name if isinstance(each, ClassGroup) else each for each in described.classes or ()]
        if names and [name.casefold() for name in names] != [name.casefold() for name in classes]:
            raise DataError(
                f"--data {source}: data.classes are {names}, those of the run {list(classes)}; give the labels the "
                f"run's names: classes: {{{classes[0]}: [LABEL, …], {classes[1]}: [LABEL, …]}}"
            )
        return described.model_copy(update={"image_size": config.image_size})
    own_names = config.dataset in (None, medmnist.PHANTOM) or bool(CohortFile(source).class_names())
    return config.model_copy(
        update={
            "path": source.absolute(), "name": None, "dataset": None if own_names else config.dataset,
            "classes": config.classes or classes, "folds": None, "fold": 0, "fold_by": "rows",
            "split_seed": None,
        }
    )  # fmt: skip


def load_cohort(
    source: Path, config: DataConfig, classes: tuple[str, str], columns: Sequence[str] = ()
) -> Cohort:  # fmt: skip
    """Read all rows of the run's two classes from a cohort's file, and where they were made.

    Args:
        source: As for :func:`cohort_config`.
        config: The data of the run that is to be scored.
        classes: Names of the run's classes.
        columns: Further columns of the file.

    Raises:
        DataError: As :func:`cohort_config`, or the file is damaged, has no labels, lacks a class or a column, or its
            images have another size or colour than the run's.
    """
    described = cohort_config(source, config, classes)
    file = _open(source, described)
    task = _task(source, described, file, classes)
    check_pictures(source, file, file.splits, open_file(config))
    parts, starts = list[Split](), [0]
    for name in file.splits:
        parts.append(stored_split(file, name, *task.select(file.labels(name))))
        starts.append(starts[-1] + file.row_count(name))
    check_apart(source, file, file.splits, open_file(config))
    labels = torch.cat([part.labels for part in parts])
    for label, name in enumerate(classes):
        if not (labels == label).any():
            raise DataError(
                f"--data {source}: none of its {len(labels)} images of the run's classes is '{name}'; a cohort needs "
                "both classes"
            )
    digest = hashlib.sha256(" ".join(part.digest for part in parts).encode()).hexdigest()
    rows = np.concatenate([part.rows + start for part, start in zip(parts, starts[:-1], strict=True)])
    patients = None
    if all(part.patients is not None for part in parts):
        patients = np.concatenate([part.patients for part in parts if part.patients is not None])
    pixels = resize(torch.cat([part.images for part in parts]), config.image_size)
    split = Split(pixels, labels, rows, digest, patients)
    return Cohort(source, split, _columns(file, source, columns, rows))


def check_pictures(source: Path, file: NpzFile, splits: Sequence[str], own: NpzFile) -> None:
    """Check that images have the size and colour of those that a run was trained on.

    Raises:
        DataError: They have not.
    """
    wanted = own.image_shape("train")
    for split in splits:
        shape = file.image_shape(split)
        if len(shape) != len(wanted):
            kinds = {2: "gray", 3: "colour"}
            raise DataError(
                f"{source}: its images are {kinds[len(shape)]}, those of the run {kinds[len(wanted)]}; make the "
                f"file anew: mobilenet-chest data import --colour {kinds[len(wanted)]}"
            )
        if shape[:2] != wanted[:2]:
            raise DataError(
                f"{source}: its images have {shape[0]} × {shape[1]} pixels, those of the run {wanted[0]} × "
                f"{wanted[1]}; make the file anew: mobilenet-chest data import --size {wanted[0]}"
            )


def check_apart(
    source: Path, file: NpzFile, splits: Sequence[str], own: NpzFile, own_splits: Sequence[str] = SPLITS
) -> None:
    """Check that a file shares no image with the one that a run was trained on: equal pixels, as stored.

    Args:
        source: As the user named the file.
        file: The file.
        splits: Those of its images that are looked at.
        own: The run's file.
        own_splits: Splits of it that may not have them.

    Raises:
        DataError: It does.
    """
    images = {digest for name in splits for digest in _digests(file, name)}
    for name in (name for name in own.image_splits if name in own_splits):
        shared = len(images & _digests(own, name))
        if shared:
            advice = "another source shares none"
            if name not in own.naming_splits:
                advice = f"score that split with --split {name}, which goes on record as such"
            raise DataError(f"{source}: {shared} of its images are in {name} of {own.name}; {advice}")


def _digests(file: NpzFile, split: str) -> set[bytes]:
    return {hashlib.sha256(image.tobytes()).digest() for _, chunk in file.chunks(split) for image in chunk}


def _open(source: Path, described: DataConfig) -> CohortFile:
    if described.path is None:
        raise DataError(f"--data {source}: its section data names no path; a cohort is a .npz file")
    file = CohortFile(described.path)
    if not file.splits:
        advice = "; without labels, ask whether the images are of the same kind: mobilenet-chest data check RUN FILE"
        has = f"no labels beside {', '.join(f'{split}_images' for split in file.image_splits)}{advice}"
        raise DataError(
            f"--data {source}: {has if file.image_splits else 'no arrays test_images and test_labels, or of train'}"
        )
    return file


def _task(source: Path, described: DataConfig, file: NpzFile, classes: tuple[str, str]) -> Task:
    try:
        return find_task(described, lambda: file)
    except DataError as error:
        raise DataError(
            f"--data {source}: its labels are not those of the run, {' and '.join(map(repr, classes))} ({error}); say "
            f"which they are in a YAML file: data: {{path: …, classes: {{{classes[0]}: [LABEL, …], {classes[1]}: "
            "[LABEL, …]}}"
        ) from error


def _columns(
    file: NpzFile, source: Path, names: Sequence[str], rows: NDArray[np.int64]
) -> dict[str, NDArray[np.str_]]:  # fmt: skip
    """Return the column of sites, where there is one, and the columns asked for, of some rows."""
    there = [{key.removeprefix(f"{split}_") for key in file.keys if key.startswith(f"{split}_")}
             for split in file.splits]  # fmt: skip
    known = set.intersection(*there) - {"images", "labels"}
    for name in names:
        if name not in known:
            raise DataError(
                f"--groups {name}: no column '{name}' in {source}{nearest(name, known)}; there are: "
                f"{', '.join(sorted(known)) or 'none'}"
            )
    wanted = dict.fromkeys([*([SITE] if SITE in known else []), *names])
    columns: dict[str, Any] = {}
    for name in wanted:
        values = np.concatenate([file.column(split, name).astype(np.str_) for split in file.splits])
        columns[name] = values[rows]
    return columns
