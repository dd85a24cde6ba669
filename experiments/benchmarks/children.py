"""Functions that are measured in a process each. Imports are at the top, so that their memory is not counted."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import medmnist.info  # noqa: F401  # the catalogue imports it on first use
import numpy as np
import torch
import yaml
from torch.nn import functional

from mobilenet_chest.config import DataConfig, parse
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.task import find_task
from mobilenet_chest.processor import use_free_cores
from mobilenet_chest.two_stage import train

# the first call loads libraries and starts threads
functional.interpolate(torch.zeros(2, 1, 8, 8), (16, 16), mode="bicubic", antialias=True)


def read_ours(path: str, size: int, classes: list[str]) -> dict[str, Any]:
    """Read the training and validation rows of the two classes by the project."""
    fields = {"dataset": "chestmnist", "path": path, "image_size": size, "classes": classes}
    data = load_train_val(DataConfig.model_validate(fields))
    return {"rows": [len(data.train), len(data.val)], "pixel_sum": _sum(data.train.images) + _sum(data.val.images)}


def read_numpy(path: str, classes: list[str]) -> dict[str, Any]:
    """Read the same rows by ``numpy.load``, which decodes whole arrays."""
    config = DataConfig(dataset="chestmnist", path=path, classes=(classes[0], classes[1]))
    task = find_task(config, lambda: NpzFile(Path(path)))
    counts, total = [], 0
    with np.load(path) as file:
        for split in ("train", "val"):
            rows, _ = task.select(file[f"{split}_labels"])
            images = torch.from_numpy(file[f"{split}_images"][rows])
            counts.append(len(images))
            total += _sum(images)
    return {"rows": counts, "pixel_sum": total}


def _sum(images: torch.Tensor) -> int:
    """Return the sum of the pixels, by numpy: torch would first widen all of them."""
    return int(images.numpy().sum(dtype=np.int64))


def fine_tune(experiment: str) -> dict[str, float]:
    """Train an experiment, given as YAML, with the threads of the command line; leave out its first epoch."""
    use_free_cores()
    history = train(parse(yaml.safe_load(experiment))).history[1:]
    return {"images_per_second": statistics.median(record["images_per_second"] for record in history)}
