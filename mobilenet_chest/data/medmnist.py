"""MedMNIST's catalogue: which file a dataset is, and what its labels are called.

MedMNIST v2: Yang et al., Scientific Data 2023. Its native files of 64, 128 and 224 pixels are called MedMNIST+.
Only the catalogue of ``medmnist`` is read: importing the package brings in scikit-learn and more, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from mobilenet_chest.config.data import CHEST
from mobilenet_chest.download import fetch
from mobilenet_chest.errors import DataError, nearest

PHANTOM = "phantom"
"""Name of the synthetic dataset. It has ChestMNIST's labels, and is generated."""

MULTI_LABEL = "multi-label, binary-class"
"""MedMNIST's name of a task in which a row has any number of labels, or none."""


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset in the catalogue, or of the user's own.

    Attributes:
        name: As in file names, such as ``"chestmnist"``; of a file of one's own, what it is called.
        label_names: Name of each label, in the order of the label columns (multi-label) or of the label values.
        channels: 1 (gray) or 3 (RGB); 0 where only the file knows.
        task: MedMNIST's name of it: ``"multi-label, binary-class"``, ``"binary-class"``, ``"multi-class"`` or
            ``"ordinal-regression"``.
        sizes: Side lengths, in pixels, of the square images that can be downloaded; empty for the phantom.
    """

    name: str
    label_names: tuple[str, ...]
    channels: int
    task: str
    sizes: tuple[int, ...]


def dataset_info(name: str) -> DatasetInfo:
    """Return a 2D dataset of MedMNIST, or the phantom, by name.

    Raises:
        DataError: There is no 2D dataset of that name.
    """
    if name == PHANTOM:
        chest = dataset_info(CHEST)
        return DatasetInfo(PHANTOM, chest.label_names, channels=1, task=chest.task, sizes=())
    entry = _catalogue(name)
    labels: Mapping[str, str] = entry["label"]
    return DatasetInfo(
        name=name,
        label_names=tuple(labels[key] for key in sorted(labels, key=int)),
        channels=entry["n_channels"],
        task=entry["task"],
        sizes=tuple(size for size in (28, 64, 128, 224) if f"MD5{_suffix(size)}" in entry),
    )


def dataset_names() -> tuple[str, ...]:
    """Return all names that :func:`dataset_info` knows."""
    return (*_planar(), PHANTOM)


def fetch_dataset(name: str, size: int, root: Path) -> Path:
    """Return the path of a dataset's ``.npz``, downloaded if it is missing.

    Address, MD5 and file name are MedMNIST's. So a file that MedMNIST has downloaded into ``root`` (by default
    ``~/.medmnist``) is used as it is.

    Args:
        name: A 2D dataset of MedMNIST.
        size: Side length in pixels.
        root: Folder of the files.

    Raises:
        DataError: No such dataset or size, a download that failed, or a file with a wrong checksum.
    """
    info = dataset_info(name)
    if not info.sizes:
        raise DataError(f"{name} is generated, not downloaded; choose a dataset of MedMNIST to download")
    if size not in info.sizes:
        raise DataError(f"{name} has no images of {size} pixels; set data.source_size to one of: {_listed(info.sizes)}")
    entry = _catalogue(name)
    suffix = _suffix(size)
    try:
        return fetch(entry[f"url{suffix}"], dataset_path(name, size, root), md5=entry[f"MD5{suffix}"])
    except DataError as error:
        raise DataError(f"{error}; data.path=FILE.npz takes a file of your own") from error


def dataset_path(name: str, size: int, root: Path) -> Path:
    """Return where :func:`fetch_dataset` keeps a dataset, which need not be there yet."""
    return root / f"{name}{_suffix(size)}.npz"


def _catalogue(name: str) -> Mapping[str, Any]:
    """Return MedMNIST's own entry of a 2D dataset."""
    planar = _planar()
    if name not in planar:
        allowed = [*planar, PHANTOM]
        raise DataError(f"no dataset '{name}'{nearest(name, allowed)} (choose from: {_listed(allowed)})")
    entry: Mapping[str, Any] = planar[name]
    return entry


@lru_cache(maxsize=1)
def _planar() -> dict[str, Any]:
    """Return MedMNIST's entries of its 2D datasets."""
    # info.py alone: importing the package would take longer than all else in a dry run
    package = find_spec("medmnist")
    assert package is not None
    assert package.submodule_search_locations is not None
    spec = spec_from_file_location("medmnist_info", Path(package.submodule_search_locations[0]) / "info.py")
    assert spec is not None
    assert spec.loader is not None
    info = module_from_spec(spec)
    spec.loader.exec_module(info)
    return {key: entry for key, entry in info.INFO.items() if not entry["python_class"].endswith("3D")}


def _suffix(size: int) -> str:
    """Return the size as in file names and keys of the catalogue; MedMNIST writes none for 28 pixels."""
    return "" if size == 28 else f"_{size}"


def _listed(values: tuple[object, ...] | list[str]) -> str:
    # quoted, because label names contain commas: BreastMNIST's second is 'normal, benign'
    return ", ".join(repr(value) for value in values)
