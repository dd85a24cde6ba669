"""Logs of answers of two models, made without a server."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from mobilenet_chest.deploy.answer_log import AnswerLog
from mobilenet_chest.deploy.answer_rows import Row, picture_statistics
from mobilenet_chest.deploy.identities import Identities

START = datetime(2026, 1, 2, tzinfo=UTC)
PICTURE = picture_statistics(np.full((4, 4), 7, np.uint8))
SECONDS = 20


def answer(
    folder: Path, patient: str | None, probability: float, arm: str = "champion", *, request: str | None = None,
    image: int = 0, share: float | None = None, version: str | None = None, model: str = "films",
) -> Row:  # fmt: skip
    """Return an answer of the first version, or of the second in another arm, for a patient of whom the time tells."""
    number = int("".join(filter(str.isdigit, patient or request or "")) or 0)
    identity = Identities(folder).of(request or f"request {patient}", patient)
    return Row(START + timedelta(seconds=number), identity.request, image, identity.patient, model,
               version or ("1" if arm == "champion" else "2"), arm, probability, None, int(probability >= 0.5), 0.5,
               PICTURE, None, share)  # fmt: skip


def write(folder: Path, rows: Iterable[Row], name: str = "films") -> None:
    """Write rows to the log of a model."""
    log = AnswerLog(name, folder)
    log.append([*rows]).result(SECONDS)
    log.close()


def shadowed(folder: Path, patients: int, wrong: int, shadow_wrong: int) -> Path:
    """Write answers of champion and shadow for p0, p1, …, and return a table of labels.

    The true label of a patient is 1 for odd numbers. The champion is wrong about the first patients, and the shadow
    about the last.
    """
    rows, lines = [], ["patient_id,label"]
    for number in range(patients):
        truth = number % 2
        for arm, is_wrong in (("champion", number < wrong), ("shadow", number >= patients - shadow_wrong)):
            rows.append(answer(folder, f"p{number}", abs(truth - (0.8 if is_wrong else 0.1)), arm))
        lines.append(f"p{number},{truth}")
    write(folder, rows)
    table = folder / "labels.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table
