"""Rows of a run's sealed test split among images that its registered model is to predict."""

from __future__ import annotations

import hashlib
import logging
import threading
from functools import cached_property
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.importing.pictures import gray_if_equal
from mobilenet_chest.data.medmnist import PHANTOM, dataset_path
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError, TrackingError
from mobilenet_chest.selection.ledger import AccessRecord, record_access
from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import is_read_only

logger = logging.getLogger(__name__)

TEST = "test"


class SealedRows:
    """Records an access to the test split when images are rows of it: with their labels at hand, they can be scored.

    Rows are compared by their pixels as stored; colour of three equal channels is the same as gray. Where the run or
    its data file is gone, nothing can be compared.

    Args:
        client: Client of the tracking store.
        version: Version of the registered model.
    """

    def __init__(self, client: MlflowClient, version: ModelVersion) -> None:
        self._client, self._run_id = client, version.run_id
        self._record: AccessRecord | None = None
        self._lock = threading.Lock()
        self.count = 0
        """Rows of the test split that were met."""

    def check(self, images: NDArray[np.uint8]) -> None:
        """Look for rows of the test split among images; the first one puts an access on record.

        Args:
            images: uint8 (n, h, w) or (n, h, w, 3), before they are predicted.

        Raises:
            TrackingError: The access cannot be put on record.
        """
        if images.shape[1:3] != self._shape:
            return
        met = sum(_digest(image) in self._digests for image in images)
        if not met:
            return
        with self._lock:  # several threads may look at once
            if self._record is None:
                self._put_on_record(met)
            self.count += met

    def _put_on_record(self, met: int) -> None:
        if is_read_only():
            raise TrackingError(
                f"{met} of the images are rows of the sealed test split, and the access cannot be put on record: "
                "the tracking store can only be read; leave those rows out, or predict as a user who can write it"
            )
        self._record = record_access(self._client, get_run(self._client, str(self._run_id)), "predict", again=True)

    @cached_property
    def _file(self) -> NpzFile | None:
        try:
            path = _stored_at(run_config(self._client, get_run(self._client, str(self._run_id))).data)
            file = None if path is None else NpzFile(path)
        except (DataError, TrackingError) as error:
            reason = str(error).partition(";")[0]  # its advice is for who trains
            logger.warning("whether rows of the sealed test split are among the images cannot be told: %s", reason)
            return None
        return file if file is not None and TEST in file.splits else None

    @cached_property
    def _shape(self) -> tuple[int, ...] | None:
        """Height and width of a stored image; ``None`` where nothing can be compared."""
        if self._file is None:
            return None
        try:
            return next((chunk.shape[1:3] for _, chunk in self._file.chunks(TEST)), None)
        except DataError:
            return None

    @cached_property
    def _digests(self) -> frozenset[bytes]:
        assert self._file is not None  # it has a shape
        return frozenset(_digest(image) for _, chunk in self._file.chunks(TEST) for image in chunk)


def _stored_at(data: DataConfig) -> Path | None:
    """Return the data file, which need not be there any more; ``None`` for the phantom, which is generated."""
    if data.path is not None or data.dataset is None or data.dataset == PHANTOM:
        return data.path
    return dataset_path(data.dataset, data.source_size, data.root)


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256((gray_if_equal(image) if image.ndim == 3 else image).tobytes()).digest()
