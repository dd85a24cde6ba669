"""Whom a server's answers are for, which model gives them, and their rows in the log."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.answer_log import FOLDER, AnswerLog
from mobilenet_chest.deploy.answer_rows import PictureStatistics, Row, picture_statistics
from mobilenet_chest.deploy.identities import Identities, Identity
from mobilenet_chest.deploy.serving.live_model import Answer


class Recorder:
    """Writes the answers of a model's server, with hashes in place of identifiers.

    Args:
        name: Of the registered model.
        folder: Of all logs.

    Raises:
        DataError: The folder cannot be used.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self._name, self._identities = name, Identities(folder)
        self._log = AnswerLog(name, folder)

    def identity(self, request: str, patient: str | None) -> Identity:
        """Return the hashes of the two."""
        return self._identities.of(request, patient)

    def share(self, identity: Identity) -> float:
        """Return the patient's, or the request's, number for the choice of an arm, from 0 to below 1."""
        return self._identities.share(self._name, identity)

    def record(
        self, identity: Identity, arm: str, model: str, pictures: Sequence[PictureStatistics],
        answers: Sequence[Answer], share: float | None = None,
    ) -> Future[None]:  # fmt: skip
        """Take the answers to the images of a request; the future is done when they are on the disk.

        Args:
            identity: Whom they are for.
            arm: Who gave them, one of :data:`~mobilenet_chest.deploy.answer_rows.ARMS`.
            model: Name of the registered model that gave them.
            pictures: Statistics of each image.
            answers: For each image.
            share: Of the patients who have the challenger, where there is one.
        """
        now = datetime.now(UTC)
        rows = [
            Row(now, identity.request, number, identity.patient, model, answer.version, arm, answer.probability,
                answer.calibrated, answer.label, answer.threshold, picture,
                None if answer.features is None else answer.features.astype(np.float16), share)
            for number, (picture, answer) in enumerate(zip(pictures, answers, strict=True))
        ]  # fmt: skip
        return self._log.append(rows)

    def close(self) -> None:
        """Write what waits."""
        self._log.close()


def statistics(images: Sequence[NDArray[np.uint8]]) -> list[PictureStatistics]:
    """Return the statistics of each image."""
    return [picture_statistics(image) for image in images]
