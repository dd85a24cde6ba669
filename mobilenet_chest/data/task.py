"""The task of an experiment: what the labels of its file are called, and which of them are class 0 and class 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import ClassGroup, DataConfig
from mobilenet_chest.config.data import CHEST
from mobilenet_chest.data.conversion import conversion
from mobilenet_chest.data.medmnist import MULTI_LABEL, DatasetInfo, dataset_info
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError, nearest

Members = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Task:
    """Two classes, each of one or several labels of a data set.

    Attributes:
        info: The data set with the names of its labels.
        members: Numbers of the labels that are class 0, and of those that are class 1.
        classes: Names of class 0 and class 1.
    """

    info: DatasetInfo
    members: Members
    classes: tuple[str, str]

    def select(self, labels: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Return the rows that belong to one of the two classes and to nothing else.

        Args:
            labels: uint8 (n, k). A multi-label data set has k flags, one for each label, and a row counts only if
                exactly one of its flags is set. Other data sets have k = 1 label value.

        Returns:
            Row numbers (m,), ascending, and the targets uint8 (m,), 0 or 1.

        Raises:
            DataError: The labels have another shape or other values than the data set's.
        """
        names = len(self.info.label_names)
        multi_label = self.info.task == MULTI_LABEL
        width, highest = (names, 1) if multi_label else (1, names - 1)
        if labels.ndim != 2 or labels.shape[1] != width:
            raise DataError(
                f"{self.info.name} has labels of shape (n, {width}), but these are {labels.shape}; set data.dataset to "
                "the dataset that the file holds, or leave it out for a file of your own"
            )
        if labels.max(initial=0) > highest:
            raise DataError(
                f"{self.info.name} has label values from 0 to {highest}, but the file has {labels.max()}; set "
                "data.dataset to the dataset that the file holds, or leave it out for a file of your own"
            )
        if multi_label:
            single = labels.sum(axis=1, dtype=np.intp) == 1
            is_class = [single & (labels[:, list(members)] == 1).any(axis=1) for members in self.members]
        else:
            is_class = [np.isin(labels[:, 0], members) for members in self.members]
        rows = np.flatnonzero(is_class[0] | is_class[1])
        return rows, is_class[1][rows].astype(np.uint8)


def find_task(config: DataConfig, file: Callable[[], NpzFile]) -> Task:
    """Return the task of an experiment on the file that ``file`` opens.

    With ``data.dataset``, labels have MedMNIST's names. Without it, ``class_names`` of the file or text labels name
    them; else they are numbers, and of two labels ``data.classes`` gives the names.

    Raises:
        DataError: A class name is unknown or given twice, or names are missing.
    """
    if config.dataset is not None:
        info = dataset_info(config.dataset)
        return Task(info, *_classes(info, config.classes))
    opened, chest = file(), dataset_info(CHEST)
    if opened.label_width(opened.naming_splits[0]) == len(chest.label_names) and not opened.class_names():
        return Task(chest, *_classes(chest, config.classes))  # no other layout has as many: the name may be left out
    return _own_task(config, opened)


def _own_task(config: DataConfig, file: NpzFile) -> Task:
    """Return the task of a file that is not MedMNIST's."""
    name, first = config.title, file.naming_splits[0]
    if file.label_width(first) != 1:
        line = conversion(file)
        converted = f"; to write a converted copy, type: {line}" if line else ""
        raise DataError(
            f"{file.name}: '{first}_labels' has {file.label_width(first)} columns; one label for each row is needed, "
            f"or data.dataset for a file in the layout of that MedMNIST set{converted}"
        )
    names = file.class_names()
    if names:
        return _task(name, names, config)
    highest = max(int(file.labels(split).max(initial=0)) for split in file.naming_splits)
    numbers = tuple(str(number) for number in range(highest + 1))
    given = config.classes
    if highest <= 1 and given is None:
        raise DataError(
            f"{file.name}: nothing says what labels 0 and 1 are called; set data.classes=[NAME OF 0, NAME OF 1], such "
            "as data.classes=[healthy, sick]"
        )
    if highest <= 1 and given is not None and not any(_label(each) in numbers for each in given):
        if any(isinstance(each, ClassGroup) for each in given):
            raise DataError(f"data.classes groups labels, but {file.name} has only the labels 0 and 1; name these two")
        return _task(name, tuple(map(_label, given)), config)
    return _task(name, numbers, config)


def _task(name: str, names: tuple[str, ...], config: DataConfig) -> Task:
    info = DatasetInfo(name, names, 0, "multi-class", ())
    return Task(info, *_classes(info, config.classes))


def _label(given: str | ClassGroup) -> str:
    return given.name if isinstance(given, ClassGroup) else given


def _classes(
    info: DatasetInfo, given: tuple[str | ClassGroup, str | ClassGroup] | None
) -> tuple[Members, tuple[str, str]]:
    """Return the labels of the two classes, and the classes' names, as spelled in the data set or in a group.

    Raises:
        DataError: An unknown name, the same one twice, or no names for a data set with more than two labels.
    """
    allowed = ", ".join(map(repr, info.label_names))  # quoted, because label names contain commas
    if given is None:
        if len(info.label_names) != 2:
            raise DataError(
                f"{info.name} has {len(info.label_names)} labels; set data.classes to the two to tell apart "
                f"[class 0, class 1], from: {allowed}"
            )
        return ((0,), (1,)), (info.label_names[0], info.label_names[1])
    index_of = {label.casefold(): index for index, label in enumerate(info.label_names)}
    members: list[tuple[int, ...]] = []
    names: list[str] = []
    for each in given:
        labels = each.labels if isinstance(each, ClassGroup) else (each,)
        for label in labels:
            if label.casefold() not in index_of:
                raise DataError(
                    f"data.classes: {info.name} has no label '{label}'{nearest(label, info.label_names)} "
                    f"(choose from: {allowed})"
                )
        members.append(tuple(index_of[label.casefold()] for label in labels))
        names.append(each.name if isinstance(each, ClassGroup) else info.label_names[members[-1][0]])
    both = [*members[0], *members[1]]
    twice = next((index for index in both if both.count(index) > 1), None)
    if twice is not None:
        raise DataError(
            f"data.classes names '{info.label_names[twice]}' twice; each label of {info.name} can be in one class "
            f"only: {allowed}"
        )
    return (members[0], members[1]), (names[0], names[1])
