"""Whether images without labels are of the kind that a run was validated on. No label is read, and nothing written.

Of a sealed split only what all its images together show is told: no image's probability, and no label was at hand. So
this is no access to it, and does not go on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.cohort import check_apart, check_pictures
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.dataset import load_train_val, resize
from mobilenet_chest.data.npz import SPLITS, NpzFile
from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.comparability import LEAST_ROWS, Comparability, Rows, compare_kinds
from mobilenet_chest.models.classifier import Classifier, Ensemble
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import find_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.training.predict import PREDICT_BATCH, predict_logits


@dataclass(frozen=True)
class KindOfData:
    """What is known of a file's images. The attributes are the keys of ``data check --json``.

    Attributes:
        run_id: The run.
        source: The file.
        images: Number of its images.
        validation_rows: Number of the run's validation rows.
        validation_prevalence: Share of class 1 among them.
        found: The verdict, the tests and the prevalence.
    """

    run_id: str
    source: str
    images: int
    validation_rows: int
    validation_prevalence: float
    found: Comparability


def check_kind(reference: str, source: Path, split: str | None = None) -> KindOfData:
    """Compare a file's images, whose labels stay unread, with a run's validation rows.

    Args:
        reference: A run by its id or first digits, or a study by its name, which means its best run.
        source: A ``.npz`` with ``test_images``, or those of another split.
        split: Whose images; all by default.

    Raises:
        DataError: The file is not there, damaged, has too few images, has images of another size or colour, or shares
            some with the rows that the run was trained or validated on.
        TrackingError: There is no such finished run.
    """
    client = connect(to_read=True)
    run = find_run(client, reference).run
    config = run_config(client, run)
    check_finished(run)
    check_same_rows(run, config)
    images = _images(source, split, config.data)
    model, val = trained_model(client, run, config), load_train_val(config.data).val
    if len(val) < LEAST_ROWS:
        raise DataError(f"run {reference}: {len(val)} validation rows are too few to compare with; {LEAST_ROWS} tell")
    found = compare_kinds(
        _rows(model, val.images), val.labels.numpy(), metrics_of(run)["threshold"], _rows(model, images)
    )
    prevalence = val.rows_of_classes()[1] / len(val)
    return KindOfData(str(run.info.run_id), str(source), len(images), len(val), prevalence, found)


def _images(source: Path, split: str | None, config: DataConfig) -> Tensor:
    """Return a file's images, resized for the run: uint8 (n, c, s, s)."""
    if not source.exists():
        raise DataError(f"{source}: there is no such file")
    file, own = NpzFile(source), open_file(config)
    splits = file.image_splits if split is None else (split,)
    if not splits or (split is not None and split not in file.image_splits):
        wanted = " or ".join(f"{name}_images" for name in (SPLITS if split is None else (split,)))
        raise DataError(f"{source}: has no {wanted}; it has: {', '.join(file.keys) or 'nothing'}")
    check_pictures(source, file, splits, own)
    # not from the sealed split of the run's own file: its images may be looked at without their labels
    check_apart(source, file, splits, own, own.naming_splits)
    nothing = np.empty((0, *file.image_shape(splits[0])), np.uint8)
    stored = np.concatenate([nothing, *(chunk for name in splits for _, chunk in file.chunks(name))])
    if len(stored) < LEAST_ROWS:
        raise DataError(f"{source}: {len(stored)} images are too few to tell anything; give {LEAST_ROWS} or more")
    pixels = torch.from_numpy(stored)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return resize(pixels.contiguous(), config.image_size)


@torch.inference_mode()
def _rows(model: nn.Module, images: Tensor) -> Rows:
    """Return the probabilities with TTA of images, and what the head of the network, or of the first member, is given;
    a whole ONNX file does not tell that."""
    plain, mirrored = (predict_logits(model, images, mirror).double().sigmoid().numpy() for mirror in (False, True))
    network = model.members[0] if isinstance(model, Ensemble) else model
    features: NDArray[np.float32] | None = None
    if isinstance(network, Classifier):
        parts = [network.features(chunk).float().numpy() for chunk in images.split(PREDICT_BATCH)]
        features = np.concatenate(parts)
    return Rows((plain + mirrored) / 2, features)
